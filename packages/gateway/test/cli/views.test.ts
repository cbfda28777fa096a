/** How the servers of a file are shown. */
import { KeepaliveConfig } from "@vmcp-keepalive/config"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { viewsOf } from "../../src/internal/cli/following.ts"

describe("a server of the file", () => {
  it("is shown with the session and the tools that its entry says, in the order of the file", async () => {
    const servers = {
      later: { url: "http://127.0.0.1:9/mcp", session: "shared", excludeTools: ["drop"] },
      before: { command: "node", session: "per-client" },
      plain: { url: "http://127.0.0.1:9/mcp" }
    }
    const { specs } = await Effect.runPromise(KeepaliveConfig.parse(JSON.stringify({ mcpServers: servers })))
    const views = viewsOf(specs)
    assert.deepStrictEqual([...views.keys()], ["later", "before", "plain"])
    assert.deepStrictEqual(views.get("later"), { session: "shared", tools: { include: undefined, exclude: ["drop"] } })
    assert.strictEqual(views.get("before")?.session, "per-client")
    assert.isUndefined(views.get("plain")?.session)
  })
})
