/**
 * Runtime parameters: values that administrators keep in a broker under a component and a name, in a virtual host or for
 * the broker as a whole. What shovels and federation would go by is kept, and nothing acts on it. Operator policies and
 * the limits of virtual hosts are parameters, too [RabbitMQ]: they are kept where they count and can be reached here.
 */

import {
  type AdministrationEntry,
  AdministrationError,
  checkName,
  type RecordAdministration,
} from "./administration.ts";
import type { Json } from "./erlang-term.ts";
import { validationFailed } from "./policies.ts";

const NAME_BYTES_MAX = 255;
/** Components whose values are kept as they are given. */
const kept = ["shovel", "federation", "federation-upstream", "federation-upstream-set"];

export interface Parameter {
  readonly vhost: string;
  readonly component: string;
  readonly name: string;
  readonly value: Json;
}

/** A component whose values are kept elsewhere: declared here, implemented by the broker. */
export interface ParameterComponent {
  /** Throws `AdministrationError`. */
  set(vhost: string, name: string, value: Json): void;
  /** Throws NOT_FOUND. */
  clear(vhost: string, name: string): void;
  all(): Iterable<Omit<Parameter, "component">>;
}

/** What the registry must know of the broker, which implements it. */
export interface ParametersContext {
  readonly record: RecordAdministration;
  hasVirtualHost(name: string): boolean;
  readonly components: ReadonlyMap<string, ParameterComponent>;
}

export class Parameters {
  readonly #context: ParametersContext;
  readonly #byKey = new Map<string, Parameter>();

  constructor(context: ParametersContext) {
    this.#context = context;
  }

  /** Sets a parameter, in place of the one of that name. Throws NOT_FOUND for the virtual host, or INVALID. */
  set(vhost: string, component: string, name: string, value: Json): void {
    this.#check(vhost, component, "set");
    const elsewhere = this.#context.components.get(component);
    if (elsewhere !== undefined) {
      elsewhere.set(vhost, name, value);
      return;
    }
    if (!kept.includes(component)) throw validationFailed([`component ${component} not found`]);
    checkName("parameter", name, NAME_BYTES_MAX);
    this.#context.record({ op: "parameter", vhost, component, name, value });
    this.#byKey.set(key(vhost, component, name), { vhost, component, name, value });
  }

  /** Clears a parameter. Throws NOT_FOUND. */
  clear(vhost: string, component: string, name: string): void {
    this.#check(vhost, component, "cleared");
    const elsewhere = this.#context.components.get(component);
    if (elsewhere !== undefined) {
      elsewhere.clear(vhost, name);
      return;
    }
    const of = key(vhost, component, name);
    if (!this.#byKey.has(of)) throw missing();
    this.#context.record({ op: "clear-parameter", vhost, component, name });
    this.#byKey.delete(of);
  }

  #check(vhost: string, component: string, done: string): void {
    if (component === "policy") {
      const text = `policies may not be ${done} using this method`;
      throw new AdministrationError("INVALID", text);
    }
    if (!this.#context.hasVirtualHost(vhost))
      throw new AdministrationError("NOT_FOUND", `no vhost '${vhost}'`);
  }

  find(vhost: string, component: string, name: string): Parameter | undefined {
    for (const parameter of this.all())
      if (parameter.vhost === vhost && parameter.component === component && parameter.name === name)
        return parameter;
    return undefined;
  }

  /** All there are, but policies; by component or virtual host the caller filters. */
  *all(): Iterable<Parameter> {
    yield* this.#byKey.values();
    for (const [component, elsewhere] of this.#context.components)
      for (const parameter of elsewhere.all()) yield { ...parameter, component };
  }

  forgetVirtualHost(vhost: string): void {
    for (const [of, parameter] of this.#byKey)
      if (parameter.vhost === vhost) this.#byKey.delete(of);
  }

  /** Makes what an entry of the log says. */
  restore(entry: ParameterEntry): void {
    const { vhost, component, name } = entry;
    const of = key(vhost, component, name);
    if (entry.op === "parameter")
      this.#byKey.set(of, { vhost, component, name, value: entry.value });
    else this.#byKey.delete(of);
  }

  *entries(): Iterable<AdministrationEntry> {
    for (const parameter of this.#byKey.values()) yield { op: "parameter", ...parameter };
  }
}

/** Parameters of the broker as a whole, of any name. */
export class GlobalParameters {
  readonly #record: RecordAdministration;
  readonly #byName = new Map<string, Json>();

  constructor(record: RecordAdministration) {
    this.#record = record;
  }

  /** Throws INVALID. */
  set(name: string, value: Json): void {
    checkName("parameter", name, NAME_BYTES_MAX);
    this.#record({ op: "global-parameter", name, value });
    this.#byName.set(name, value);
  }

  /** Throws NOT_FOUND. */
  clear(name: string): void {
    if (!this.#byName.has(name)) throw missing();
    this.#record({ op: "clear-global-parameter", name });
    this.#byName.delete(name);
  }

  find(name: string): Json | undefined {
    return this.#byName.get(name);
  }

  *all(): Iterable<{ name: string; value: Json }> {
    for (const [name, value] of this.#byName) yield { name, value };
  }

  /** Makes what an entry of the log says. */
  restore(entry: GlobalParameterEntry): void {
    if (entry.op === "global-parameter") this.#byName.set(entry.name, entry.value);
    else this.#byName.delete(entry.name);
  }

  *entries(): Iterable<AdministrationEntry> {
    for (const parameter of this.all()) yield { op: "global-parameter", ...parameter };
  }
}

type ParameterEntry = Extract<AdministrationEntry, { op: "parameter" | "clear-parameter" }>;
type GlobalParameterEntry = Extract<
  AdministrationEntry,
  { op: "global-parameter" | "clear-global-parameter" }
>;

/** Names can hold any character. */
function key(...names: readonly string[]): string {
  return JSON.stringify(names);
}

function missing(): AdministrationError {
  return new AdministrationError("NOT_FOUND", "Parameter does not exist");
}
