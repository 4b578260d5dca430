/**
 * The benchmark: measures the rows asked for on one broker or two, and prints a table.
 *
 * The result goes to stdout, everything for the person waiting to stderr. The exit code is 1 when a
 * row failed, 2 when the command line was not understood.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AttachedBroker,
  type Broker,
  brokerFrom,
  brokerVersion,
  LeveretBroker,
} from "./brokers.ts";
import { describeMachine } from "./machine.ts";
import { HELP, type Options, parseOptions, RESULTS_FILE } from "./options.ts";
import { topFunctions } from "./profile.ts";
import { measureRow, type Session } from "./repetitions.ts";
import { type RowResult, resultTable } from "./report.ts";

const LEVERET_MAIN = "dist/src/main.js";

function progress(line: string): void {
  console.error(line);
}

function chosenBrokers(options: Options, profileFolder: string | undefined): Broker[] {
  const { BROKER_URL: url, BROKER_PID: pid } = process.env;
  const { brokerArguments, against, againstPid } = options;
  const first = url
    ? new AttachedBroker("Broker", url, pid ? Number(pid) : undefined)
    : new LeveretBroker({ name: "Leveret", main: LEVERET_MAIN, brokerArguments, profileFolder });
  return against === undefined
    ? [first]
    : [first, brokerFrom(against, againstPid, brokerArguments)];
}

async function measureAll(session: Session, profileFolder?: string): Promise<RowResult[]> {
  const results: RowResult[] = [];
  for (const row of session.options.rows) {
    results.push(await measureRow(row, session));
    if (profileFolder === undefined) continue;
    // A profile is written when its process ends, so each row ends the broker.
    await session.brokers[0]!.stop();
    for (const line of topFunctions(profileFolder)) progress(`    ${line}`);
  }
  return results;
}

async function startAll(brokers: readonly Broker[]): Promise<string[]> {
  const versions: string[] = [];
  for (const broker of brokers) {
    await broker.start();
    versions.push(`${broker.name} (introduces itself as ${await brokerVersion(broker)})`);
  }
  return versions;
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const profileFolder = options.profile
    ? mkdtempSync(join(tmpdir(), "leveret-profile-"))
    : undefined;
  const brokers = chosenBrokers(options, profileFolder);
  try {
    const versions = await startAll(brokers);
    progress(`measuring ${versions.join(" and ")}`);
    const results = await measureAll({ options, brokers, signal, progress }, profileFolder);
    const names = brokers.map(({ name }) => name);
    const about = describeMachine(versions, options).join("\n");
    const report = `# Benchmark results\n\n${about}\n\n${resultTable(names, results)}`;
    console.log(report);
    if (options.write) writeFileSync(RESULTS_FILE, report);
    const failed = results.some(({ outcomes }) => outcomes.some(({ failure }) => failure));
    if (failed) process.exitCode = 1;
  } finally {
    for (const broker of brokers) await broker.stop();
    if (profileFolder !== undefined) rmSync(profileFolder, { recursive: true, force: true });
  }
}

const interruption = new AbortController();
for (const signalName of ["SIGINT", "SIGTERM"]) {
  // The brokers started here are stopped on the way out.
  process.once(signalName, () => interruption.abort(new Error(`ended by ${signalName}`)));
}
/** The options, or undefined after telling what is wrong with them. */
function optionsFrom(commandLine: readonly string[]): Options | undefined {
  try {
    return parseOptions(commandLine);
  } catch (error) {
    progress(`${(error as Error).message}\nSee --help.`);
    process.exitCode = 2;
    return undefined;
  }
}

const options = optionsFrom(process.argv.slice(2));
if (options?.help) {
  console.log(HELP);
} else if (options) {
  try {
    await run(options, interruption.signal);
  } catch (error) {
    progress((error as Error).message);
    process.exitCode = 1;
  }
}
