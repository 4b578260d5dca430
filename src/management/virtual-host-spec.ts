/** What an object says of a virtual host; the properties may stand in an object `metadata` as well. */

import type { VirtualHostSpec } from "../broker/virtual-hosts.ts";
import { flag, given, type JsonObject, object, tags, text } from "./input.ts";

export function virtualHostSpec(json: JsonObject): VirtualHostSpec {
  const body = { ...object(json, "metadata"), ...json };
  const description = text(body, "description");
  const tagList = tags(body, "tags");
  const defaultQueueType = text(body, "default_queue_type");
  return {
    ...(description !== undefined && { description }),
    ...(tagList !== undefined && { tags: tagList }),
    ...(defaultQueueType !== undefined && { defaultQueueType }),
    ...(given(body, "protected_from_deletion") !== undefined && {
      protectedFromDeletion: flag(body, "protected_from_deletion"),
    }),
  };
}
