/** Certificates for a test, made with openssl and gone after it: a CA, a server, clients, and one of a stranger's. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

export const KEY_PASSWORD = "key-s3cret";

/** Paths of PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export class Certificates {
  readonly #folder: string;
  readonly ca: Certificate;

  constructor(folder: string) {
    this.#folder = folder;
    this.ca = this.#selfSigned("ca", "/CN=Test CA");
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: this.#folder, stdio: "pipe" });
  }

  #newKey(name: string, password?: string): string {
    const curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const encryption = password === undefined ? [] : ["-aes256", "-pass", `pass:${password}`];
    this.#openssl("genpkey", ...curve, ...encryption, "-out", `${name}.key`);
    return this.#path(`${name}.key`);
  }

  #selfSigned(name: string, subject: string): Certificate {
    const key = this.#newKey(name);
    const args = ["-key", `${name}.key`, "-subj", subject, "-days", "2", "-out", `${name}.pem`];
    this.#openssl("req", "-x509", "-new", ...args);
    return { cert: this.#path(`${name}.pem`), key };
  }

  /** One that the CA has signed, for localhost and 127.0.0.1. */
  signed(name: string, subject: string, keyPassword?: string): Certificate {
    const key = this.#newKey(name, keyPassword);
    const password = keyPassword === undefined ? [] : ["-passin", `pass:${keyPassword}`];
    this.#openssl("req", "-new", "-key", key, ...password, "-subj", subject, "-out", `${name}.csr`);
    writeFileSync(this.#path(`${name}.ext`), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    const files = ["-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.pem`];
    this.#openssl("x509", "-req", ...signer, ...files);
    return { cert: this.#path(`${name}.pem`), key };
  }

  /** One that vouches for itself. */
  stranger(subject: string): Certificate {
    return this.#selfSigned("stranger", subject);
  }
}

/** What amqplib and node:tls want. */
export function pem({ cert, key }: Certificate): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}
