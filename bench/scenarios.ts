/** From the kind of a row to the code that measures it. */

import { measureChurn, measureIdle } from "./connections.ts";
import { measureDeclares } from "./declares.ts";
import type { Figures } from "./figures.ts";
import { measureFill } from "./fill.ts";
import { measureFlow } from "./flow.ts";
import { prepareRestart } from "./restart.ts";
import { measureGets, measureRpc } from "./round-trips.ts";
import type { Row } from "./rows.ts";
import type { Run } from "./run.ts";
import { measureSteady } from "./steady.ts";

export function measure(row: Row, run: Run): Promise<Figures> {
  switch (row.kind) {
    case "flow":
      return measureFlow(row, run);
    case "steady":
      return measureSteady(row, run);
    case "fill":
      return measureFill(row, run);
    case "rpc":
      return measureRpc(row, run);
    case "get":
      return measureGets(row, run);
    case "churn":
      return measureChurn(row, run);
    case "idle":
      return measureIdle(row, run);
    case "restart":
      return prepareRestart(row, run);
    case "declare":
      return measureDeclares(row, run);
  }
}
