/**
 * Who may log in, and what is known of them.
 *
 * An unknown name takes as long to refuse as a wrong password. What a user may do is in permissions.ts.
 */

import { randomBytes } from "node:crypto";
import {
  type AdministrationEntry,
  AdministrationError,
  checkName,
  checkTags,
  type RecordAdministration,
} from "./administration.ts";
import { limitsFrom, type UserLimits } from "./limits.ts";
import { DEFAULT_ALGORITHM, PasswordHash } from "./password.ts";

const NAME_BYTES_MAX = 255;

/** How a user is described; what is left out stays as it is, or is empty for a new one. */
export interface UserSpec {
  /** Kept as a hash only. Empty: nobody can log in with a password. */
  readonly password?: string;
  /** In place of a password: its hash in base64, as RabbitMQ's definitions have it. */
  readonly passwordHash?: string;
  /** Of `passwordHash`; `rabbit_password_hashing_sha256` by default. */
  readonly hashingAlgorithm?: string;
  /** `administrator`, `monitoring`, `policymaker`, `management`, `impersonator`, or anything else. */
  readonly tags?: readonly string[];
  readonly limits?: UserLimits;
}

/** A user as it is at a moment: a change makes another one. */
export class User {
  readonly name: string;
  /** Undefined: cannot log in with a password. */
  readonly passwordHash: PasswordHash | undefined;
  readonly tags: readonly string[];
  readonly limits: UserLimits;

  constructor(
    name: string,
    passwordHash: PasswordHash | undefined,
    tags: readonly string[],
    limits: UserLimits,
  ) {
    this.name = name;
    this.passwordHash = passwordHash;
    this.tags = tags;
    this.limits = limits;
  }

  /** Whether it may publish in another user's name. */
  get impersonates(): boolean {
    return this.tags.includes("impersonator");
  }
}

/** Told when a user is gone: declared here, implemented by the broker. */
export type UserDeleted = (name: string) => void;

const nobody = PasswordHash.of(randomBytes(16));

export class Users {
  readonly #byName = new Map<string, User>();
  readonly #record: RecordAdministration;
  readonly #deleted: UserDeleted;

  constructor(record: RecordAdministration, deleted: UserDeleted) {
    this.#record = record;
    this.#deleted = deleted;
  }

  /** Adds a user, without any permission. Throws ALREADY_EXISTS or INVALID. */
  add(name: string, spec: UserSpec = {}): User {
    if (this.#byName.has(name))
      throw new AdministrationError("ALREADY_EXISTS", `there is a user '${name}' already`);
    checkName("user", name, NAME_BYTES_MAX);
    return this.#put(name, spec, new User(name, undefined, [], {}));
  }

  /**
   * Changes what `changes` names of a user. Connections that are open go on as they are; new limits count for them, too.
   * Throws NOT_FOUND or INVALID.
   */
  change(name: string, changes: UserSpec): User {
    return this.#put(name, changes, this.get(name));
  }

  /** Deletes a user with its permissions and closes its connections. Throws NOT_FOUND. */
  delete(name: string): void {
    this.get(name);
    this.#record({ op: "delete-user", name });
    this.#byName.delete(name);
    this.#deleted(name);
  }

  /** The user; throws NOT_FOUND. */
  get(name: string): User {
    const user = this.#byName.get(name);
    if (user === undefined) throw new AdministrationError("NOT_FOUND", `no user '${name}'`);
    return user;
  }

  find(name: string): User | undefined {
    return this.#byName.get(name);
  }

  /** In the order in which they were added. */
  all(): Iterable<User> {
    return this.#byName.values();
  }

  /** The user of that name if the password is right; an empty one never is. */
  authenticate(name: string, password: Buffer): User | undefined {
    const user = this.#byName.get(name);
    const right = (user?.passwordHash ?? nobody).matches(password);
    const canLogIn = user?.passwordHash !== undefined && password.length > 0;
    return right && canLogIn ? user : undefined;
  }

  #put(name: string, spec: UserSpec, before: User): User {
    const tags = spec.tags ?? before.tags;
    checkTags(tags);
    const limits =
      spec.limits === undefined
        ? before.limits
        : limitsFrom(spec.limits, ["maxConnections", "maxChannels"]);
    const user = new User(name, hashFrom(spec, before.passwordHash), [...tags], limits);
    this.#record(userEntry(user));
    this.#byName.set(name, user);
    return user;
  }

  /** A user as it was before the restart. */
  restore({ name, passwordHash, hashingAlgorithm, tags, limits }: UserEntry): void {
    const hash =
      passwordHash === "" ? undefined : PasswordHash.from(passwordHash, hashingAlgorithm);
    this.#byName.set(name, new User(name, hash, tags, limits));
  }

  /** A user that was deleted before the restart. */
  forget(name: string): void {
    this.#byName.delete(name);
  }

  *entries(): Iterable<AdministrationEntry> {
    for (const user of this.#byName.values()) yield userEntry(user);
  }
}

type UserEntry = Extract<AdministrationEntry, { op: "user" }>;

function userEntry({ name, passwordHash, tags, limits }: User): UserEntry {
  return {
    op: "user",
    name,
    passwordHash: passwordHash?.toString() ?? "",
    hashingAlgorithm: passwordHash?.algorithm ?? DEFAULT_ALGORITHM,
    tags,
    limits: { ...limits },
  };
}

function hashFrom(spec: UserSpec, before: PasswordHash | undefined): PasswordHash | undefined {
  const { password, passwordHash, hashingAlgorithm } = spec;
  if (password !== undefined && passwordHash !== undefined)
    throw new AdministrationError("INVALID", "either a password or its hash, not both");
  if (password !== undefined) return password === "" ? undefined : PasswordHash.of(password);
  if (passwordHash === undefined) return before;
  return passwordHash === "" ? undefined : PasswordHash.from(passwordHash, hashingAlgorithm);
}
