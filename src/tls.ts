/**
 * TLS: the options of a listener, what an AMQP client's certificate says, and what went wrong in a handshake.
 *
 * Loaded only when there is a TLS listener, since it takes a while.
 */

import type { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  createSecureContext,
  createServer,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from "node:tls";
import type { Settings } from "./config.ts";

const HANDSHAKE_TIMEOUT_MS_MAX = 2 ** 31 - 1;

function read(what: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`the TLS ${what} cannot be read: ${(error as Error).message}`);
  }
}

/** What a server shows to its clients, and the versions that it speaks. Throws when something is missing or unreadable. */
function serverOptions(settings: Settings): TlsOptions {
  const { tlsCertFile, tlsKeyFile, tlsKeyPassword } = settings;
  if (tlsCertFile === undefined || tlsKeyFile === undefined) {
    throw new Error(
      "a TLS listener needs a certificate and its key: --tls-cert and --tls-key, or ssl_options.certfile and ssl_options.keyfile",
    );
  }
  const versions = [...settings.tlsVersions].sort();
  const [first = "tlsv1.2", last = first] = [versions[0], versions.at(-1)];
  const named = { "tlsv1.2": "TLSv1.2", "tlsv1.3": "TLSv1.3" } as const;
  return {
    cert: read("certificate", tlsCertFile),
    key: read("key", tlsKeyFile),
    ...(tlsKeyPassword !== undefined && { passphrase: tlsKeyPassword }),
    minVersion: named[first],
    maxVersion: named[last],
  };
}

/** Those of the management API, which asks no client for a certificate; its own files, or those of AMQP where it has none. */
export function managementTlsOptions(settings: Settings): TlsOptions {
  const { managementTlsCertFile, managementTlsKeyFile, managementTlsKeyPassword } = settings;
  const own = {
    tlsCertFile: managementTlsCertFile,
    tlsKeyFile: managementTlsKeyFile,
    tlsKeyPassword: managementTlsKeyPassword,
  };
  const found = serverOptions(
    managementTlsCertFile === undefined ? settings : { ...settings, ...own },
  );
  using(() => createSecureContext(found));
  return found;
}

function options(settings: Settings): TlsOptions {
  const { tlsCaFile } = settings;
  return {
    ...serverOptions(settings),
    ...(tlsCaFile !== undefined && { ca: read("CA certificate", tlsCaFile) }),
    requestCert: settings.tlsVerify === "verify_peer",
    // `refusal` looks at the certificate, so that the log can say what is wrong with it.
    rejectUnauthorized: false,
    handshakeTimeout: Math.min(settings.handshakeTimeoutMs, HANDSHAKE_TIMEOUT_MS_MAX),
  };
}

export function createTlsServer(settings: Settings): Server {
  return using(() => createServer(options(settings)));
}

/** Says what is wrong when a certificate or a key cannot be used. */
function using<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined || !code.startsWith("ERR_OSSL")) throw error;
    throw new Error(`the TLS certificate or key cannot be used: ${message}`);
  }
}

/** Why the client may not go on, undefined when it may. */
export function refusal(socket: TLSSocket, settings: Settings): string | undefined {
  if (settings.tlsVerify === "verify_none") return undefined;
  if (socket.getPeerX509Certificate() === undefined) {
    return settings.tlsFailIfNoPeerCert
      ? "the client sent no certificate: it needs one that the CA in ssl_options.cacertfile has signed"
      : undefined;
  }
  if (socket.authorized) return undefined;
  return `the client's certificate is not valid: ${String(socket.authorizationError)}`;
}

/** `CN=client,O=Example`: most specific first, as RabbitMQ writes it [RFC 4514]. */
function distinguishedName(certificate: X509Certificate): string {
  return certificate.subject.split("\n").reverse().join(",");
}

function commonName(certificate: X509Certificate): string | undefined {
  return /^CN=(.*)$/m.exec(certificate.subject)?.[1];
}

/** The user that a client's certificate names; undefined without a certificate that was asked for. */
export function certificateUser(socket: TLSSocket, settings: Settings): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined || !socket.authorized) return undefined;
  return settings.tlsLoginFrom === "common_name"
    ? commonName(certificate)
    : distinguishedName(certificate);
}

const advice: readonly [code: RegExp, advice: string][] = [
  [/HTTP_REQUEST/, "the client speaks HTTP, and AMQP with TLS is spoken on this port"],
  [
    /WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|PACKET_LENGTH|BAD_RECORD_TYPE/,
    "the client does not speak TLS: it needs amqps:// here, or the port without TLS",
  ],
  [
    /ALERT_UNKNOWN_CA|ALERT_CERTIFICATE_UNKNOWN|ALERT_BAD_CERTIFICATE/,
    "the client does not trust the server's certificate: give it the CA's",
  ],
  [/UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION/, "the client's version of TLS is not spoken here"],
  [/NO_SHARED_CIPHER/, "client and server have no cipher in common"],
  [/HANDSHAKE_TIMEOUT/, "the client did not say enough in time"],
];

/** Why a handshake failed, with what to do about it where that is known. */
export function handshakeFailure({ code = "", message }: NodeJS.ErrnoException): string {
  const found = advice.find(([pattern]) => pattern.test(code))?.[1];
  const reason = /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1] ?? message.trim();
  return found === undefined ? reason : `${reason}: ${found}`;
}
