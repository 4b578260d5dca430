/**
 * How the tests run: everything under test/. CONFORMANCE_BROKER=rabbitmq starts a RabbitMQ for the
 * conformance tests to hold against (test/conformance/rabbitmq-node.ts); otherwise they start Leveret.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/conformance/rabbitmq-node.ts"],
    testTimeout: 15_000,
    hookTimeout: 15_000,
  },
});
