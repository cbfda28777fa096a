/** The example of hearing of changes prints what its reader would want to know, whatever becomes of the server. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { FaultProxy, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { assert, describe, it } from "vitest"

const program = join(import.meta.dirname, "../src/changes/tools.ts")

/** Has the server say that its tools are others. */
const touch = async (port: number) => {
  const client = new Client({ name: "other", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } })
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)))
  await client.callTool({ name: "touch", arguments: {} })
  await client.close()
}

describe("the example of hearing of changes", () => {
  for (const era of ["modern", "legacy"] as const)
    it(`prints the tools at first, when they change, and after a restart: ${era}`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era })
        const proxy = yield* FaultProxy.make({ target: { port: server.port } })
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [program, `${proxy.url}/mcp`], { stdio: ["ignore", "pipe", "inherit"] })
          ),
          (started) => Effect.sync(() => started.kill("SIGKILL"))
        )
        const exited = once(child, "exit")
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
        const line = Effect.promise(async (): Promise<unknown> => (await lines.next()).value)
        const tools = yield* line
        assert.match(String(tools), /^echo, .*, touch$/)
        // each server of the legacy era tells its own session alone
        if (era === "modern") {
          yield* Effect.promise(() => touch(server.port))
          assert.strictEqual(yield* line, tools)
        }
        yield* server.kill
        yield* server.start
        assert.strictEqual(yield* line, tools)
        child.kill("SIGTERM")
        yield* Effect.promise(() => exited)
        yield* Effect.repeat(proxy.stats, { until: ({ inFlight }) => inFlight === 0 })
      }).pipe(Effect.scoped, Effect.runPromise))
})
