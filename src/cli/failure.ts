/** What ends a command: RabbitMQ's exit code, and the text for the standard error. */

/** After sysexits.h, as RabbitMQ's tools have them [RabbitMQ: cli, exit codes]. */
export const exitCodes = {
  usage: 64,
  dataError: 65,
  noUser: 67,
  unavailable: 69,
  software: 70,
  temporaryFailure: 75,
} as const;

export type ExitCode = keyof typeof exitCodes;

export class Failure extends Error {
  override readonly name = "Failure";
  readonly code: ExitCode;

  /** `message` is printed as it is. */
  constructor(code: ExitCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The arguments are wrong: the tool adds how the command is used. */
export class UsageFailure extends Failure {
  readonly heading: string;

  constructor(code: ExitCode, message: string, heading = "Error (argument validation)") {
    super(code, message);
    this.heading = heading;
  }
}

/** The usual form: a heading, and what went wrong below it. */
export function failed(code: ExitCode, message: string): Failure {
  return new Failure(code, `Error:\n${message}`);
}

export function noVirtualHost(name: string): Failure {
  return new Failure("dataError", `Virtual host '${name}' does not exist`);
}

export function badArgument(reason: string): UsageFailure {
  return new UsageFailure("dataError", `Bad argument: ${reason}`);
}
