/** Columns as they are chosen on a command line: one an argument, or several with commas between. */

import { UsageFailure } from "./failure.ts";

export function chosenColumns(given: readonly string[]): readonly string[] {
  return given.flatMap((each) => each.split(",")).filter((name) => name !== "");
}

/** Throws a `UsageFailure` that names them, if there are any. */
export function unknownColumns(chosen: readonly string[], known: readonly string[]): void {
  const unknown = chosen.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new UsageFailure("usage", `Info key(s) ${unknown.join(",")} are not supported`);
}
