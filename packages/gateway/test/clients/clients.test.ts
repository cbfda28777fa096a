/** Clients of the protocol's own SDKs on the program itself, and what is true of the program for any. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { assert, describe, it, onTestFinished } from "vitest"
import { bin, folderWith, until } from "../cli/program.ts"
import { sdk1, sdk2 } from "./hosts.ts"
import { goesOn } from "./scenario.ts"
import { world } from "./world.ts"

describe("a client", () => {
  it.each([
    ["of the SDK 1", sdk1],
    ["of the SDK 2, in the modern era,", sdk2]
  ] as const)(
    "%s goes on through kills, a stale session, a freeze, an open circuit, a reload, and the death of the gateway itself",
    (_, connect) => goesOn(connect),
    240_000
  )
})

describe("a host over stdio", () => {
  it("has the servers behind the gateway as its one server, through a kill", async () => {
    const { file, run, web } = await world()
    const client = new Client({ name: "ide", version: "1" })
    const folder = await folderWith({})
    const args = [bin, "serve", "--config", file, "--state", folder, "--stdio"]
    await client.connect(new StdioClientTransport({ command: process.execPath, args, stderr: "ignore" }) as Transport)
    onTestFinished(() => client.close())
    // the first list waits a bounded time for servers: of those that come later a host is told
    await until(async () => {
      const names = new Set((await client.listTools()).tools.map(({ name }) => name))
      return names.has("web__echo") && names.has("other__echo")
    })
    await run(web.restart)
    const { content } = await client.callTool({ name: "web__echo", arguments: { message: "over stdio" } })
    assert.deepStrictEqual(content, [{ type: "text", text: "Echo: over stdio" }])
  })
})

describe("two hosts of a server that the file says to be shared", () => {
  it("are on one session with it, and where the file no longer says so, each has its own", async () => {
    const { gateway, servers, write } = await world()
    await write({ web: { ...servers.web, session: "shared" } })
    const { mcp } = await gateway()
    const [one, other] = [await sdk1(mcp), await sdk1(mcp)]
    // the session declares no client's capabilities, so that the server does not offer what asks one
    const asking = "trigger-sampling-request"
    for (const host of [one, other]) {
      const tools = await host.tools()
      assert.include(tools, "echo")
      assert.notInclude(tools, asking)
    }
    await write({ web: servers.web })
    await until(async () => (await one.tools()).includes(asking) && (await other.tools()).includes(asking))
  })
})
