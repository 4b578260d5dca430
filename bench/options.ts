/** The benchmark's command line: what can be asked for, and the text that teaches it. */

import { parseArgs } from "node:util";
import { growth, type Series } from "./growth.ts";
import { type Row, rows } from "./rows.ts";

export const RESULTS_FILE = "bench/RESULTS.md";

export interface Options {
  readonly rows: readonly Row[];
  /** The series that the rows are of; undefined when they are those of the ordinary table. */
  readonly growth: readonly Series[] | undefined;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Undefined: as many as the row wants. */
  readonly repetitions: number | undefined;
  readonly against: string | undefined;
  readonly againstPid: number | undefined;
  readonly brokerArguments: readonly string[];
  /** The Node.js that runs Leveret; the benchmark's own when undefined. */
  readonly node: string | undefined;
  readonly profile: boolean;
  readonly write: boolean;
  readonly help: boolean;
}

export const HELP = `Measures Leveret, alone or against another broker.

  npm run bench -- --row A,F                    two rows on Leveret
  npm run bench -- --row A --against rabbitmq   one row on Leveret and RabbitMQ in turn
  npm run bench -- --against ../base/dist/src/main.js   all rows, against another build
  BROKER_URL=amqp://localhost BROKER_PID=1234 npm run bench -- --row P   a broker that runs already

Options
  --row A,B            the rows to measure; all when left out
  --growth             how cost grows, in place of the ordinary table; --row takes names of series then
  --against BROKER     a second broker: "rabbitmq" (Debian's package, started as a node of its own),
                       an amqp:// URL, or the main.js of a build
  --against-pid PID    the process behind that URL, to read its CPU time and memory
  --seconds N          how long a repetition measures (3)
  --warm-up N          how long it runs before that (a third of it, at least 1)
  --repetitions N      repetitions of each row on each broker (3, or 1 for the slowest rows)
  --broker-arguments="A B"   how Leveret is started (--data-dir={data}); {data} is a temporary folder
  --node PATH          the Node.js that runs Leveret, when it is not the one that runs this; a build after
                       --against runs on this one
  --profile            profile Leveret, and list its functions by self time after each row
  --write              write the result into ${RESULTS_FILE} too, in place of the last one on the same
                       release of Node.js, and plot it beside that
  --help               this text

Environment
  BROKER_URL           measure this broker instead of starting dist/src/main.js
  BROKER_PID           its process, to read its CPU time and memory

Every message is checked on arrival: one lost, duplicated, reordered or damaged fails its row. The
CPU-seconds a million messages cost vary less from run to run than the rate does. A rate marked *
was limited by the load generator.

Rows
${list(rows)}

Series of --growth
${list(growth)}
`;

function list(entries: readonly { readonly id: string; readonly title: string }[]): string {
  return entries.map(({ id, title }) => `  ${id.padEnd(3)} ${title}`).join("\n");
}

/** Throws with a text for the person who typed it. */
export function parseOptions(commandLine: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...commandLine],
    options: {
      row: { type: "string" },
      growth: { type: "boolean", default: false },
      against: { type: "string" },
      "against-pid": { type: "string" },
      seconds: { type: "string", default: "3" },
      "warm-up": { type: "string" },
      repetitions: { type: "string" },
      "broker-arguments": { type: "string", default: "--data-dir={data}" },
      node: { type: "string" },
      profile: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const seconds = positive("seconds", values.seconds) ?? 3;
  const series = values.growth ? chosen(growth, values.row) : undefined;
  return {
    rows: series?.flatMap(({ steps }) => steps.map(({ row }) => row)) ?? chosen(rows, values.row),
    growth: series,
    seconds,
    warmUpSeconds: positive("warm-up", values["warm-up"]) ?? Math.max(1, seconds / 3),
    repetitions: positive("repetitions", values.repetitions),
    against: values.against,
    againstPid: positive("against-pid", values["against-pid"]),
    brokerArguments: values["broker-arguments"].split(" ").filter((part) => part !== ""),
    node: values.node,
    profile: values.profile,
    write: values.write,
    help: values.help,
  };
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} needs a number above 0, not "${text}"`);
  return value;
}

/** The entries that a list of ids names; all without one. */
function chosen<Entry extends { readonly id: string }>(
  entries: readonly Entry[],
  text: string | undefined,
): readonly Entry[] {
  if (text === undefined) return entries;
  return text.split(",").map((part) => {
    const wanted = part.trim().toLowerCase();
    const entry = entries.find(({ id }) => id.toLowerCase() === wanted);
    if (entry) return entry;
    const known = entries.map(({ id }) => id).join(", ");
    throw new Error(`there is no "${part}"; there are ${known}`);
  });
}
