/** What is published on Node, with the lowest and the newest versions that it may be installed with. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { inject } from "vitest"
import { run, servers, well } from "./support.ts"

const folders = inject("folders")

const versionIn = (folder: string, name: string): string =>
  JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8")).version

describe("npm installs", () => {
  it("the lowest version of the SDK, and OpenTelemetry 2, without force", () => {
    assert.match(versionIn(folders.lowest, "@modelcontextprotocol/sdk"), /^1\.24\.0$/)
    assert.match(versionIn(folders.lowest, "@opentelemetry/sdk-metrics"), /^2\.0\.0$/)
  })

  it("the newest version of the SDK, and OpenTelemetry 3, without force", () => {
    const newest: string = JSON.parse(
      readFileSync(new URL("../node_modules/@modelcontextprotocol/sdk/package.json", import.meta.url), "utf8")
    ).version
    assert.isAtLeast(
      Number(versionIn(folders.newest, "@modelcontextprotocol/sdk").split(".")[1]),
      Number(newest.split(".")[1])
    )
    assert.match(versionIn(folders.newest, "@opentelemetry/sdk-metrics"), /^3\./)
  })
})

describe.each(["lowest", "newest"] as const)("with the %s versions an app", (versions) => {
  const folder = folders[versions]

  it.live("calls its servers over both transports, replaces their sessions, and ends", () =>
    Effect.gen(function* () {
      const args = yield* servers(folder)
      const ended = yield* Effect.promise(() => run(process.execPath, ["app.ts", ...args], folder))
      assert.deepStrictEqual(ended, { code: 0, stdout: well, stderr: "" })
    })
  )
})

describe.each([
  ["lowest", /^v22\.19\.0$/],
  ["newest", /^v26\./]
] as const)("on the %s version of Node", (versions, expected) => {
  const folder = folders[versions]
  const node = join(folder, `node_modules/node-${versions}/bin/node`)

  // npm brings Node under a name for each platform; the test knows one.
  it.live.skipIf(!existsSync(node))("it does so too", () =>
    Effect.gen(function* () {
      const version = yield* Effect.promise(() => run(node, ["--version"], folder))
      assert.match(version.stdout.trim(), expected)
      const args = yield* servers(folder)
      const ended = yield* Effect.promise(() => run(node, ["app.ts", ...args], folder))
      assert.deepInclude(ended, { code: 0, stdout: well })
    })
  )
})
