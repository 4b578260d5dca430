/**
 * What goes wrong in a request, as status and body: RabbitMQ's words, on which clients match.
 *
 * Whoever finds a mistake throws; the application turns it into a reply in one place. Anything else that is thrown is the
 * broker's own trouble.
 */

import { AmqpError } from "../amqp/errors.ts";
import { AdministrationError, type AdministrationErrorCode } from "../broker/administration.ts";

export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  readonly body: object;

  constructor(status: number, body: object) {
    super(JSON.stringify(body));
    this.status = status;
    this.body = body;
  }
}

/** `reason` is a text, or a list of what is wrong and the value [RabbitMQ]. */
export function badRequest(reason: string | readonly unknown[]): HttpError {
  return new HttpError(400, { error: "bad_request", reason });
}

/** There is nothing at this path. */
export function nothingThere(): HttpError {
  return new HttpError(404, { error: "Object Not Found", reason: "Not Found" });
}

export function notFound(reason: string): HttpError {
  return new HttpError(404, { error: "not_found", reason });
}

/** The user is known and may not do this; spelt as RabbitMQ spells it. */
export function notAuthorised(reason: string): HttpError {
  return new HttpError(401, { error: "not_authorised", reason });
}

const administrationStatus: Readonly<Record<AdministrationErrorCode, number>> = {
  NOT_FOUND: 404,
  ALREADY_EXISTS: 400,
  INVALID: 400,
  PROTECTED: 412,
  UNAVAILABLE: 503,
};

const errorNames: Readonly<Record<number, string>> = {
  400: "bad_request",
  404: "not_found",
  412: "precondition_failed",
  503: "unavailable",
};

/** The reply to an error that is the client's, or undefined. */
export function httpErrorOf(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error;
  if (error instanceof AdministrationError) {
    const status = administrationStatus[error.code];
    return new HttpError(status, { error: errorNames[status], reason: error.message });
  }
  if (!(error instanceof AmqpError) || error.replyName === "INTERNAL_ERROR") return undefined;
  if (error.replyName === "ACCESS_REFUSED") return notAuthorised("Access refused.");
  if (error.replyName === "NOT_FOUND") return notFound(error.message);
  return badRequest(error.message);
}
