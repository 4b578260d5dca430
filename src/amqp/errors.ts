/**
 * The errors of AMQP 0-9-1: one table of reply names, one class.
 *
 * Whoever finds a client's mistake throws an `AmqpError` with a name and a text; the connection that was serving the
 * method catches it, adds class and method id, and closes the channel or the connection as the table says.
 */

/** Code on the wire and what it ends [AMQP 0-9-1: constants; RabbitMQ: which of them are hard]. */
export const replies = {
  CONTENT_TOO_LARGE: { code: 311, scope: "channel" },
  NO_ROUTE: { code: 312, scope: "channel" },
  NO_CONSUMERS: { code: 313, scope: "channel" },
  CONNECTION_FORCED: { code: 320, scope: "connection" },
  INVALID_PATH: { code: 402, scope: "connection" },
  ACCESS_REFUSED: { code: 403, scope: "channel" },
  NOT_FOUND: { code: 404, scope: "channel" },
  RESOURCE_LOCKED: { code: 405, scope: "channel" },
  PRECONDITION_FAILED: { code: 406, scope: "channel" },
  FRAME_ERROR: { code: 501, scope: "connection" },
  SYNTAX_ERROR: { code: 502, scope: "connection" },
  COMMAND_INVALID: { code: 503, scope: "connection" },
  CHANNEL_ERROR: { code: 504, scope: "connection" },
  UNEXPECTED_FRAME: { code: 505, scope: "connection" },
  RESOURCE_ERROR: { code: 506, scope: "connection" },
  NOT_ALLOWED: { code: 530, scope: "connection" },
  NOT_IMPLEMENTED: { code: 540, scope: "connection" },
  INTERNAL_ERROR: { code: 541, scope: "connection" },
} as const satisfies Record<string, { code: number; scope: "channel" | "connection" }>;

export type ReplyName = keyof typeof replies;

/** A shortstr holds 255 bytes; a longer reply text ends in three dots [RabbitMQ]. */
const REPLY_TEXT_BYTES_MAX = 255;

function fitReplyText(text: string): string {
  if (Buffer.byteLength(text) <= REPLY_TEXT_BYTES_MAX) return text;
  let kept = "";
  let keptBytes = 0;
  for (const character of text) {
    keptBytes += Buffer.byteLength(character);
    if (keptBytes > REPLY_TEXT_BYTES_MAX - 3) break;
    kept += character;
  }
  return `${kept}...`;
}

interface ErrorDetails {
  /** What the log says, where the text repeats a secret of the client's. */
  readonly logText?: string;
  /** For the log alone: what to do about it. */
  readonly advice?: string | undefined;
  /** Class and method id of the close, where they are not those of the method being served; `[0, 0]` for none. */
  readonly method?: readonly [classId: number, methodId: number];
}

/** A client's mistake, or a state of the broker that a client must be told of. */
export class AmqpError extends Error {
  override readonly name = "AmqpError";
  readonly replyName: ReplyName;
  readonly replyCode: number;
  /** What goes to the wire: `NAME - text`, at most 255 bytes. */
  readonly replyText: string;
  readonly closes: "channel" | "connection";
  readonly logText: string;
  readonly advice: string | undefined;
  readonly method: ErrorDetails["method"];

  constructor(replyName: ReplyName, text: string, details: ErrorDetails = {}) {
    super(text);
    this.replyName = replyName;
    this.replyCode = replies[replyName].code;
    this.replyText = fitReplyText(`${replyName} - ${text}`);
    this.closes = replies[replyName].scope;
    this.logText = `${replyName} - ${details.logText ?? text}`;
    this.advice = details.advice;
    this.method = details.method;
  }
}

/** Of a frame that belongs to no method. */
export const NO_METHOD = [0, 0] as const;

/** A frame that cannot be understood. */
export class FrameError extends AmqpError {
  constructor(text: string) {
    super("FRAME_ERROR", text, { method: NO_METHOD });
  }
}

/** Bytes that are not what their place asks for; `text` says what is wrong. */
export class DecodeError extends AmqpError {
  constructor(text: string) {
    super("FRAME_ERROR", `cannot decode: ${text}`);
  }
}
