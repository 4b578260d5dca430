/**
 * The benchmark: measures the rows asked for on one broker or two, and prints a table.
 *
 * The result goes to stdout, everything for the person waiting to stderr. The exit code is 1 when a
 * row failed, 2 when the command line was not understood.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  AttachedBroker,
  type Broker,
  brokerFrom,
  brokerVersion,
  LeveretBroker,
} from "./brokers.ts";
import { withSection } from "./document.ts";
import { describeMachine, nodeVersion } from "./machine.ts";
import { HELP, type Options, parseOptions, RESULTS_FILE } from "./options.ts";
import { plotGrowth, plotRows } from "./plots.ts";
import { topFunctions } from "./profile.ts";
import { measureRow, type Session } from "./repetitions.ts";
import { growthReasons, type RowResult, resultTable } from "./report.ts";

const LEVERET_MAIN = "dist/src/main.js";
const TITLE = "# Benchmark results\n";

function progress(line: string): void {
  console.error(line);
}

function chosenBrokers(options: Options, profileFolder: string | undefined): Broker[] {
  const { BROKER_URL: url, BROKER_PID: pid } = process.env;
  const { brokerArguments, against, againstPid, node } = options;
  const leveret = { name: "Leveret", main: LEVERET_MAIN, brokerArguments, node, profileFolder };
  const first = url
    ? new AttachedBroker("Broker", url, pid ? Number(pid) : undefined)
    : new LeveretBroker(leveret);
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

/** Into the section of its kind and its release of Node.js, with a plot beside the file. */
function write(
  options: Options,
  report: string,
  names: readonly string[],
  results: readonly RowResult[],
): void {
  const { growth } = options;
  const release = /^v(\d+)/.exec(nodeVersion(options))?.[1];
  const heading = growth ? `How cost grows, on Node.js ${release}` : `On Node.js ${release}`;
  const plot = `${growth ? "growth" : "rows"}-node-${release}.svg`;
  const picture = growth ? plotGrowth(names, growth, results) : plotRows(names, results);
  writeFileSync(join(dirname(RESULTS_FILE), plot), picture);
  const document = existsSync(RESULTS_FILE) ? readFileSync(RESULTS_FILE, "utf8") : TITLE;
  const section = `${report}\n![Rate and CPU](${plot})\n`;
  writeFileSync(RESULTS_FILE, withSection(document, heading, section));
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
    const reasons = options.growth === undefined ? "" : `\n${growthReasons(options.growth)}\n`;
    const report = `${about}\n\n${resultTable(names, results)}${reasons}`;
    console.log(report);
    if (options.write) write(options, report, names, results);
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
