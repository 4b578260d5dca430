/** The table of routes, the document made of it, and that every route has a test. */
import { expect, test } from "vitest";
import { routes } from "../../src/management/routes.ts";
import { testsUnder } from "../conformance/row-table.ts";
import { api, isForeign } from "./api.ts";

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** Methods and paths that a test names; a `%s` stands for anything. */
function namedRoutes(name: string): (method: string, path: string) => boolean {
  const methods = [...name.matchAll(/\b(GET|PUT|POST|DELETE)\b/g)].map(([method]) => method);
  const paths = [...name.matchAll(/\/api\/[^\s,]+/g)].map(([path]) => {
    const parts = path.split("%s").map(escapeRegExp);
    return new RegExp(`^${parts.join(".+")}$`);
  });
  return (method, path) => methods.includes(method) && paths.some((each) => each.test(path));
}

test("G1 every route has a test with its method and path in the name; ROUTES.md has them all", async () => {
  const tests = testsUnder(import.meta.dirname).map(({ file, name }) => ({
    ...{ file, name },
    names: namedRoutes(name),
  }));
  const rows = routes.map((route) => ({
    ...route,
    tests: tests.filter(({ names }) => names(route.method, route.path)),
  }));
  const untested = rows.filter((row) => row.tests.length === 0);
  expect(untested.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  const lines = rows.map(
    ({ method, path, needs, summary, tests: own }) =>
      `| ${method} ${path} | ${needs} | ${summary} | ${[...new Set(own.map(({ file }) => file))].join(", ")} |`,
  );
  await expect(
    `# The routes of the management API, and the tests that show them\n\nWritten by \`npx vitest run test/management/openapi.test.ts -u\` from the table of routes and the names of the tests.\n\n| route | needs | what | tests |\n| --- | --- | --- | --- |\n${lines.join("\n")}\n`,
  ).toMatchFileSnapshot("ROUTES.md");
});

test("G1 no two routes have the same method and path", () => {
  const all = routes.map(({ method, path }) => `${method} ${path}`);
  expect(all).toEqual([...new Set(all)]);
});

test.skipIf(isForeign)("G1 GET /api/openapi.json describes what is served", async () => {
  const { body } = await (await api()).get("openapi.json");
  expect(body.openapi).toBe("3.1.0");
  const described = Object.entries(body.paths as Record<string, object>).flatMap(
    ([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const served = routes.map(
    ({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
  );
  expect(described.sort()).toEqual(served.sort());
  expect(body.paths["/api/queues/{vhost}/{queue}"].put).toMatchObject({
    ...{ summary: "Declares a queue", security: [{ basic: [] }] },
    parameters: [
      { name: "vhost", in: "path", required: true },
      { name: "queue", in: "path", required: true },
    ],
    responses: { "201": {}, "204": {}, "400": {}, "401": {} },
  });
});
