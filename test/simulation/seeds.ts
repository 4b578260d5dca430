/**
 * What one seed runs: the journal against its model, and the whole broker. A failure names its seed and how to have it again.
 */
import { JournalRun, type RunOptions } from "../store/journal-model.ts";
import { BrokerRun } from "./broker-run.ts";

export function named<Result>(seed: number, run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    if (error instanceof Error)
      error.message = `seed ${seed} (npm run simulate -- --seed ${seed}): ${error.message}`;
    throw error;
  }
}

export function runJournal(options: RunOptions): JournalRun {
  const journal = new JournalRun(options);
  named(options.seed, () => journal.run());
  return journal;
}

export function runBroker(seed: number): BrokerRun {
  const broker = new BrokerRun({ seed });
  named(seed, () => broker.run());
  return broker;
}

/** The journal at each operation of the disk at which its first life can end. */
export function cutJournal(seed: number): void {
  const short = { seed, lives: 1, turns: 25 };
  const { firstOperations } = runJournal({ ...short, cutAt: Number.POSITIVE_INFINITY });
  for (let cutAt = 1; cutAt <= firstOperations; cutAt++) {
    try {
      runJournal({ ...short, cutAt });
    } catch (error) {
      if (error instanceof Error) error.message = `cut at operation ${cutAt}, ${error.message}`;
      throw error;
    }
  }
}
