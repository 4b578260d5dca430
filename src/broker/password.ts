/**
 * Passwords, as RabbitMQ keeps them: four bytes of salt and the digest of salt and password.
 *
 * New ones are hashed with SHA-256; the other algorithms are those that definitions brought from elsewhere may name.
 */

import { hash as digestOf, randomBytes, timingSafeEqual } from "node:crypto";
import { AdministrationError } from "./administration.ts";

const SALT_BYTES = 4;

const algorithms = {
  rabbit_password_hashing_sha256: { digest: "sha256", bytes: 32 },
  rabbit_password_hashing_sha512: { digest: "sha512", bytes: 64 },
  rabbit_password_hashing_md5: { digest: "md5", bytes: 16 },
} as const;

/** Named as in RabbitMQ's definitions. */
export type HashingAlgorithm = keyof typeof algorithms;

export const DEFAULT_ALGORITHM: HashingAlgorithm = "rabbit_password_hashing_sha256";

export class PasswordHash {
  readonly algorithm: HashingAlgorithm;
  /** `salt ++ digest(salt ++ password)` */
  readonly bytes: Buffer;

  private constructor(algorithm: HashingAlgorithm, bytes: Buffer) {
    this.algorithm = algorithm;
    this.bytes = bytes;
  }

  /** The hash of a password, with a salt of its own. */
  static of(password: string | Buffer, algorithm = DEFAULT_ALGORITHM): PasswordHash {
    return new PasswordHash(algorithm, hash(algorithm, randomBytes(SALT_BYTES), password));
  }

  /** A hash in base64 as definitions have it; throws `AdministrationError` when it can be none. */
  static from(encoded: string, algorithm: string = DEFAULT_ALGORITHM): PasswordHash {
    if (!Object.hasOwn(algorithms, algorithm)) {
      throw new AdministrationError(
        "INVALID",
        `the hashing algorithm ${algorithm} is not known: one of ${Object.keys(algorithms).join(", ")}`,
      );
    }
    const known = algorithm as HashingAlgorithm;
    const bytes = Buffer.from(encoded, "base64");
    const expected = SALT_BYTES + algorithms[known].bytes;
    if (bytes.length !== expected || bytes.toString("base64") !== encoded) {
      throw new AdministrationError(
        "INVALID",
        `a password hash for ${algorithm} is the base64 of ${expected} bytes`,
      );
    }
    return new PasswordHash(known, bytes);
  }

  /** Compares in a time that does not tell how much of it was right. */
  matches(password: Buffer): boolean {
    const salt = this.bytes.subarray(0, SALT_BYTES);
    return timingSafeEqual(hash(this.algorithm, salt, password), this.bytes);
  }

  toString(): string {
    return this.bytes.toString("base64");
  }
}

function hash(algorithm: HashingAlgorithm, salt: Uint8Array, password: string | Buffer): Buffer {
  const salted = Buffer.concat([salt, Buffer.from(password)]);
  return Buffer.concat([salt, digestOf(algorithms[algorithm].digest, salted, "buffer")]);
}
