/** Messages as fast as they go, through one lane or several. */

import { between } from "./figures.ts";
import { type Lane, openLane } from "./lane.ts";
import type { FlowRow } from "./rows.ts";
import { markWindow, type Scenario, untilDone } from "./run.ts";

export const measureFlow: Scenario<FlowRow> = async (row, run) => {
  const lanes: Lane[] = [];
  for (let stream = 0; stream < row.lanes; stream++) lanes.push(await openLane(row, stream, run));
  const received = (): number => lanes.reduce((sum, lane) => sum + lane.received, 0);

  for (const lane of lanes) lane.start();
  const [from, to] = await markWindow(run, received);
  for (const lane of lanes) lane.stop();

  await untilDone(
    () => lanes.every((lane) => lane.settled),
    received,
    () => lanes.map((lane) => lane.describe()).join("; "),
  );
  for (const lane of lanes) await lane.close();
  return between(from, to);
};
