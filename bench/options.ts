/** The benchmark's command line: what can be asked for, and the text that teaches it. */

import { parseArgs } from "node:util";
import { type Row, rows } from "./rows.ts";

export const RESULTS_FILE = "bench/RESULTS.md";

export interface Options {
  readonly rows: readonly Row[];
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Undefined: as many as the row wants. */
  readonly repetitions: number | undefined;
  readonly against: string | undefined;
  readonly againstPid: number | undefined;
  readonly brokerArguments: readonly string[];
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
  --against BROKER     a second broker: "rabbitmq" (Debian's package, started as a node of its own),
                       an amqp:// URL, or the main.js of a build
  --against-pid PID    the process behind that URL, to read its CPU time and memory
  --seconds N          how long a repetition measures (3)
  --warm-up N          how long it runs before that (a third of it, at least 1)
  --repetitions N      repetitions of each row on each broker (3, or 1 for the slowest rows)
  --broker-arguments="A B"   how Leveret is started (--data-dir={data}); {data} is a temporary folder
  --profile            profile Leveret, and list its functions by self time after each row
  --write              write the result into ${RESULTS_FILE} too
  --help               this text

Environment
  BROKER_URL           measure this broker instead of starting dist/src/main.js
  BROKER_PID           its process, to read its CPU time and memory

Every message is checked on arrival: one lost, duplicated, reordered or damaged fails its row. The
CPU-seconds a million messages cost vary less from run to run than the rate does. A rate marked *
was limited by the load generator.

Rows
${rows.map(({ id, title }) => `  ${id.padEnd(3)} ${title}`).join("\n")}
`;

/** Throws with a text for the person who typed it. */
export function parseOptions(commandLine: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...commandLine],
    options: {
      row: { type: "string" },
      against: { type: "string" },
      "against-pid": { type: "string" },
      seconds: { type: "string", default: "3" },
      "warm-up": { type: "string" },
      repetitions: { type: "string" },
      "broker-arguments": { type: "string", default: "--data-dir={data}" },
      profile: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const seconds = positive("seconds", values.seconds) ?? 3;
  return {
    rows: chosenRows(values.row),
    seconds,
    warmUpSeconds: positive("warm-up", values["warm-up"]) ?? Math.max(1, seconds / 3),
    repetitions: positive("repetitions", values.repetitions),
    against: values.against,
    againstPid: positive("against-pid", values["against-pid"]),
    brokerArguments: values["broker-arguments"].split(" ").filter((part) => part !== ""),
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

function chosenRows(text: string | undefined): readonly Row[] {
  if (text === undefined) return rows;
  return text.split(",").map((part) => {
    const row = rows.find(({ id }) => id === part.trim().toUpperCase());
    if (row) return row;
    throw new Error(`there is no row "${part}"; there are ${rows.map(({ id }) => id).join(", ")}`);
  });
}
