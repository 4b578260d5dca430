/** The table of all commands. One more is one row in the file of its subject. */

import type { Command } from "./command.ts";
import { controlCommands } from "./commands/control.ts";
import { definitionCommands } from "./commands/definitions.ts";
import { featureFlagCommands } from "./commands/feature-flags.ts";
import { healthCommands } from "./commands/health.ts";
import { listingCommands } from "./commands/listings.ts";
import { helpCommand, nodeCommands } from "./commands/node.ts";
import { operationCommands } from "./commands/operations.ts";
import { parameterCommands } from "./commands/parameters.ts";
import { permissionCommands } from "./commands/permissions.ts";
import { pluginCommands } from "./commands/plugins.ts";
import { policyCommands } from "./commands/policies.ts";
import { singleNodeCommands } from "./commands/single-node.ts";
import { statusCommands } from "./commands/status.ts";
import { userCommands } from "./commands/users.ts";
import { virtualHostCommands } from "./commands/virtual-hosts.ts";

export const commands: readonly Command[] = [
  helpCommand,
  ...nodeCommands,
  ...controlCommands,
  ...statusCommands,
  ...healthCommands,
  ...listingCommands,
  ...userCommands,
  ...permissionCommands,
  ...virtualHostCommands,
  ...policyCommands,
  ...parameterCommands,
  ...operationCommands,
  ...definitionCommands,
  ...featureFlagCommands,
  ...pluginCommands,
  ...singleNodeCommands,
];
