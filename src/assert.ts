/**
 * Invariants that stay on in production.
 *
 * A failed assertion is a bug in Leveret, never a client's fault: what a client does wrong is an `AmqpError`.
 */

/** Throws `AssertionError` with `message` unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** An invariant does not hold. For where messages pass: `assert` would put its text together for each of them. */
export function broken(message: string): never {
  throw new AssertionError(message);
}

/** A broken invariant: the state can no longer be trusted. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}
