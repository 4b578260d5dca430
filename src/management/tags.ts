/** What the tags of a user allow here [RabbitMQ: management permissions]. */

import type { User } from "../broker/users.ts";

type Tagged = Pick<User, "tags">;

function hasOneOf({ tags }: Tagged, wanted: readonly string[]): boolean {
  return tags.some((tag) => wanted.includes(tag));
}

export function isAdministrator(user: Tagged): boolean {
  return hasOneOf(user, ["administrator"]);
}

/** May see what others do. */
export function isMonitor(user: Tagged): boolean {
  return hasOneOf(user, ["administrator", "monitoring"]);
}

export function isPolicymaker(user: Tagged): boolean {
  return hasOneOf(user, ["administrator", "policymaker"]);
}

/** May come in at all. */
export function isManagementUser(user: Tagged): boolean {
  return hasOneOf(user, ["administrator", "monitoring", "policymaker", "management"]);
}
