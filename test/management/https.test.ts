/** The management API with TLS. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions } from "../../src/index.ts";
import { Certificates, hasOpenssl } from "../settings/certificates.ts";
import { isForeign } from "./api.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "leveret-https-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function start(options: BrokerOptions): Promise<Broker> {
  const broker = await Broker.start({ port: 0, managementTlsPort: 0, ...options });
  onTestFinished(() => broker.close());
  return broker;
}

/** As guest. */
function ask(broker: Broker, path: string, ca: string): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const options = { ca: readFileSync(ca), auth: "guest:guest" };
    const request = get(`${broker.managementUrl}/api/${path}`, options, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode!, body: JSON.parse(text) }));
    });
    request.on("error", reject);
  });
}

describe.skipIf(isForeign || !hasOpenssl)("G1 the API with TLS", () => {
  test("G1 has a certificate of its own, or that of AMQP", async () => {
    const certificates = new Certificates(folder());
    const [own, other] = [
      certificates.signed("own", "/CN=own"),
      certificates.signed("amqp", "/CN=amqp"),
    ];
    for (const options of [
      { managementTlsCertFile: own.cert, managementTlsKeyFile: own.key },
      { tlsCertFile: other.cert, tlsKeyFile: other.key },
    ]) {
      const broker = await start(options);
      expect(broker.managementUrl).toMatch(/^https:/);
      const { status, body } = await ask(broker, "whoami", certificates.ca.cert);
      expect([status, body]).toEqual([200, { name: "guest", tags: ["administrator"] }]);
    }
  });

  test("G17 tells when a certificate is about to expire", async () => {
    const certificates = new Certificates(folder());
    const { cert, key } = certificates.signed("server", "/CN=server");
    const broker = await start({ managementTlsCertFile: cert, managementTlsKeyFile: key });
    const check = (within: string) =>
      ask(broker, `health/checks/certificate-expiration/${within}`, certificates.ca.cert);
    expect(await check("1/days")).toEqual({ status: 200, body: { status: "ok" } });
    expect(await check("1/weeks")).toMatchObject({
      status: 503,
      body: { status: "failed", reason: "Certificates expiring", expired: [{ certfile: cert }] },
    });
  });

  test("G1 says what is wrong with the files, and opens nothing", async () => {
    const path = join(folder(), "no.pem");
    await expect(Broker.start({ port: 0, managementTlsPort: 0 })).rejects.toThrow(
      "a TLS listener needs a certificate and its key",
    );
    writeFileSync(path, "no certificate");
    const files = { managementTlsCertFile: path, managementTlsKeyFile: path };
    await expect(Broker.start({ port: 0, managementTlsPort: 0, ...files })).rejects.toThrow(
      "the TLS certificate or key cannot be used",
    );
  });
});
