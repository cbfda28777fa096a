/** Real clients on the program itself, each through everything that happens to its backends, to the file and to the gateway. */
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from "@modelcontextprotocol/client"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Scope } from "effect"
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it, onTestFinished } from "vitest"
import { folderWith, start, until } from "../cli/program.ts"

const keepalive = {
  interval: "5 seconds",
  timeout: "1 second",
  confirmInterval: "200 millis",
  connectTimeout: "10 seconds",
  backoff: { initial: "100 millis", factor: 2, cap: "500 millis" },
  waitForSession: "15 seconds",
  stableAfter: "200 millis",
  circuit: { failures: 12, openFor: "2 seconds" }
}

const world = async () => {
  const scope = Scope.makeUnsafe()
  onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const everything = () => Effect.runPromise(Scope.provide(McpServers.everything, scope))
  const [web, other] = [await everything(), await everything()]
  const folder = await folderWith({})
  const file = join(folder, "mcp.json")
  const write = (servers: Readonly<Record<string, object>>) =>
    writeFile(file, JSON.stringify({ keepalive, mcpServers: servers }))
  const servers = { web: { url: web.url }, other: { url: other.url } }
  await write(servers)
  const args = (port: number) => ["serve", "--config", file, "--state", join(folder, "state"), "--port", String(port)]
  const gateway = async (port = 0) => {
    const running = await start([...args(port), "--json"])
    let ended = false
    void running.ended.then(() => (ended = true))
    await until(() => running.output.stdout.endsWith("\n") || ended)
    if (ended) throw new Error(running.output.stderr)
    const { mcp, page }: { readonly mcp: string; readonly page: string } = JSON.parse(running.output.stdout)
    return { ...running, mcp, page, port: Number(new URL(mcp).port) }
  }
  const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
  return { web, other, servers, write, gateway, run, file }
}

interface Result {
  readonly isError: boolean
  readonly content: unknown
}

const resultOf = ({ content, isError }: { readonly [field: string]: unknown }): Result => ({
  isError: isError === true,
  content
})

/** What the scenario needs of a client. */
interface Host {
  readonly call: (name: string, args: Record<string, unknown>) => Promise<Result>
  readonly tools: () => Promise<ReadonlyArray<string>>
  /** of the session, where the era has one */
  readonly sessionId: () => string | undefined
  readonly sampled: () => number
  readonly progressOf: () => Promise<ReadonlyArray<number>>
}

const long = { name: "web__trigger-long-running-operation", arguments: { duration: 0.4, steps: 4 } }
const sampled = { role: "assistant" as const, model: "m", content: { type: "text" as const, text: "sampled" } }

const sdk1 = async (mcp: string): Promise<Host> => {
  const client = new Client({ name: "sdk1", version: "1" }, { capabilities: { sampling: {} } })
  let asked = 0
  client.setRequestHandler(CreateMessageRequestSchema, () => {
    asked++
    return sampled
  })
  const transport = new StreamableHTTPClientTransport(new URL(mcp))
  await client.connect(transport as Transport)
  onTestFinished(() => client.close())
  return {
    call: async (name, args) => resultOf(await client.callTool({ name, arguments: args })),
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    sessionId: () => transport.sessionId,
    sampled: () => asked,
    progressOf: async () => {
      const steps: Array<number> = []
      await client.callTool(long, undefined, { onprogress: ({ progress }) => void steps.push(progress) })
      return steps
    }
  }
}

const sdk2 = async (mcp: string): Promise<Host> => {
  const client = new ModernClient({ name: "sdk2", version: "1" }, { capabilities: { sampling: {} } })
  let asked = 0
  client.setRequestHandler("sampling/createMessage", () => {
    asked++
    return sampled
  })
  client.setVersionNegotiation({ mode: "auto" })
  await client.connect(new ModernTransport(new URL(mcp)))
  assert.strictEqual(client.getProtocolEra(), "modern")
  onTestFinished(() => client.close())
  return {
    call: async (name, args) => resultOf(await client.callTool({ name, arguments: args })),
    tools: async () => (await client.listTools(undefined, { cacheMode: "bypass" })).tools.map(({ name }) => name),
    sessionId: () => undefined,
    sampled: () => asked,
    progressOf: async () => {
      const steps: Array<number> = []
      await client.callTool(long, { onprogress: ({ progress }) => void steps.push(progress) })
      return steps
    }
  }
}

const stateOf = async (page: string, id: string): Promise<string | undefined> => {
  const status: { readonly backends: ReadonlyArray<{ readonly id: string; readonly state: string }> } = JSON.parse(
    await (await fetch(new URL("/api/status", page))).text()
  )
  return status.backends.find((each) => each.id === id)?.state
}

describe("a client", () => {
  it.each([
    ["of the SDK 1", sdk1],
    ["of the SDK 2, in the modern era,", sdk2]
  ] as const)(
    "%s goes on through kills, a freeze, an open circuit, a reload, and the death of the gateway itself",
    async (_, connect) => {
      const { gateway, run, servers, web, write } = await world()
      const first = await gateway()
      const host = await connect(first.mcp)
      const id = host.sessionId()
      const said: Array<string> = []
      const echo = async (message: string) => {
        said.push(message)
        return JSON.stringify(await host.call("web__echo", { message }))
      }

      assert.include(await host.tools(), "other__echo")
      assert.include(await echo("begin"), "Echo: begin")
      assert.deepStrictEqual(await host.progressOf(), [1, 2, 3, 4])
      assert.include(JSON.stringify(await host.call("web__trigger-sampling-request", { prompt: "x" })), "sampled")
      assert.strictEqual(host.sampled(), 1)

      await run(web.restart)
      assert.include(await echo("killed idle"), "Echo: killed idle")

      const lost = host.call("web__trigger-long-running-operation", { duration: 20, steps: 20 })
      await until(async () =>
        (await run(web.executions)).some(({ arguments: args }) => JSON.stringify(args).includes("20"))
      )
      await run(web.kill)
      const answer = await lost
      assert.isTrue(answer.isError)
      assert.match(JSON.stringify(answer.content), /unknown/)
      await run(web.start)
      assert.include(await echo("killed in a call"), "Echo: killed in a call")

      await run(web.freeze)
      const frozen = echo("frozen")
      await until(async () => (await stateOf(first.page, "web")) !== "Connected")
      await run(web.thaw)
      await frozen

      await run(web.kill)
      await until(async () => (await stateOf(first.page, "web")) === "CircuitOpen")
      const rejected = await host.call("web__echo", { message: "never" })
      assert.isTrue(rejected.isError)
      assert.match(JSON.stringify(rejected.content), /not executed/)
      assert.include(await host.tools(), "web__echo")
      assert.include(JSON.stringify(await host.call("other__echo", { message: "other" })), "Echo: other")
      await run(web.start)
      await until(async () => (await stateOf(first.page, "web")) === "Connected")
      await until(async () => (await echo(`back ${said.length}`)).includes("Echo: back"))

      await write({ ...servers, third: { url: web.url } })
      await until(async () => (await host.tools()).includes("third__echo"))

      first.child.kill("SIGKILL")
      await first.ended
      const second = await gateway(first.port)
      assert.strictEqual(second.port, first.port)
      await until(async () => (await host.tools()).includes("web__echo"))
      assert.include(await echo("after the gateway"), "Echo: after the gateway")
      assert.strictEqual(host.sessionId(), id)

      const executed = (await run(web.executions)).flatMap(({ arguments: args, tool }) =>
        tool === "echo" ? [JSON.stringify(args)] : []
      )
      assert.strictEqual(new Set(executed).size, executed.length, "a call ran twice")
      assert.notInclude(executed.join(), "never")
    },
    120_000
  )
})

describe("the inspector's command line", () => {
  it("lists and calls, before and after a backend was killed", async () => {
    const { gateway, run, web } = await world()
    const { mcp } = await gateway()
    const inspector = fileURLToPath(new URL("../../node_modules/.bin/mcp-inspector", import.meta.url))
    const ask = async (...method: ReadonlyArray<string>) =>
      (await promisify(execFile)(inspector, ["--cli", mcp, "--transport", "http", "--method", ...method])).stdout
    assert.include(await ask("tools/list"), "web__echo")
    await run(web.restart)
    const called = await ask("tools/call", "--tool-name", "web__echo", "--tool-arg", "message=from the inspector")
    assert.include(called, "Echo: from the inspector")
  })
})

describe("a host over stdio", () => {
  it("has the servers behind the gateway as its one server, through a kill", async () => {
    const { file, run, web } = await world()
    const client = new Client({ name: "ide", version: "1" })
    const bin = fileURLToPath(new URL("../../dist/bin.js", import.meta.url))
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
