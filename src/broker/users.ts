/**
 * Who may log in.
 *
 * Passwords are kept as RabbitMQ keeps them: four bytes of salt and the SHA-256 of salt and password. They are compared
 * in constant time, and an unknown name takes as long as a wrong password.
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const SALT_BYTES = 4;

function hash(salt: Uint8Array, password: Uint8Array): Buffer {
  return createHash("sha256").update(salt).update(password).digest();
}

/** `salt ++ sha256(salt ++ password)` */
export function hashPassword(
  password: string | Buffer,
  salt: Uint8Array = randomBytes(SALT_BYTES),
): Buffer {
  return Buffer.concat([salt, hash(salt, Buffer.from(password))]);
}

function matches(password: Buffer, passwordHash: Buffer): boolean {
  return timingSafeEqual(
    hashPassword(password, passwordHash.subarray(0, SALT_BYTES)),
    passwordHash,
  );
}

export class User {
  readonly name: string;
  readonly passwordHash: Buffer;
  readonly tags: readonly string[];

  constructor(name: string, passwordHash: Buffer, tags: readonly string[]) {
    this.name = name;
    this.passwordHash = passwordHash;
    this.tags = tags;
  }

  /** Whether it may publish in another user's name. */
  get impersonates(): boolean {
    return this.tags.includes("impersonator");
  }
}

const nobody = hashPassword(randomBytes(16));

export class Users {
  readonly #byName = new Map<string, User>();

  add(name: string, password: string, tags: readonly string[]): User {
    const user = new User(name, hashPassword(password), tags);
    this.#byName.set(name, user);
    return user;
  }

  /** The user of that name if the password is right. */
  authenticate(name: string, password: Buffer): User | undefined {
    const user = this.#byName.get(name);
    const right = matches(password, user?.passwordHash ?? nobody);
    return right ? user : undefined;
  }
}
