/** Where a broker under test listens, taken apart from an `amqp://` URL. */

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
}

/** Defaults as clients have them: port 5672, guest/guest, vhost `/`. */
export function parseBrokerUrl(text: string): BrokerAddress {
  const url = new URL(text);
  if (url.protocol !== "amqp:") throw new Error(`${text} is not an amqp:// URL`);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 5672 : Number(url.port),
    user: decodeURIComponent(url.username) || "guest",
    password: decodeURIComponent(url.password) || "guest",
    vhost: decodeURIComponent(url.pathname.slice(1)) || "/",
  };
}
