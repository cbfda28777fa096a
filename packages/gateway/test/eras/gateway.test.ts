/** Hosts of either era, on the gateway before servers of either era, over HTTP and as child processes. */
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from "@modelcontextprotocol/client"
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema
} from "@modelcontextprotocol/sdk/types.js"
import { McpServers, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Scope } from "effect"
import { assert, describe, it, onTestFinished } from "vitest"
import { folderWith, start, until } from "../cli/program.ts"

type Era = "legacy" | "modern"

/** What a test does with a server behind the gateway. */
interface Behind {
  readonly entry: object
  readonly ran: () => Promise<ReadonlyArray<string>>
  readonly kill: () => Promise<unknown>
  readonly become: (era: Era) => Promise<unknown>
}

/** What it sees of a host. */
interface Host {
  readonly call: (name: string, args?: Record<string, unknown>, onprogress?: () => void) => Promise<string>
  /** calls, and takes that back as soon as told */
  readonly abandon: (name: string, args: Record<string, unknown>, when: () => Promise<void>) => Promise<void>
  /** Listens to changes: those of lists, and of a resource where one is given. */
  readonly listen: (uri: string | undefined) => Promise<unknown>
  readonly logsFrom: (level: "info") => Promise<unknown>
  /** the names of what it heard */
  readonly heard: Array<string>
}

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Promise<A> => {
  const scope = Scope.makeUnsafe()
  onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Effect.runPromise(Scope.provide(effect, scope))
}

const tools = (all: ReadonlyArray<{ readonly tool: string }>) => all.map(({ tool }) => tool)

const overHttp = async (era: Era): Promise<Behind> => {
  const server = await run(McpServers.sdk2({ era }))
  return {
    entry: { url: server.url },
    ran: async () => tools(await Effect.runPromise(server.executions)),
    kill: () => Effect.runPromise(server.restart),
    become: (to) => Effect.runPromise(server.become(to))
  }
}

/** A host of the legacy era has a child of its own, which can ask it; one of the modern era says with each call what it can be asked. */
const asChild = async (era: Era, of: Era): Promise<Behind> => {
  const server = await run(StdioServers.sdk2({ era }))
  const kill = async () => {
    for (const pid of await Effect.runPromise(server.pids)) {
      try {
        process.kill(pid, "SIGKILL")
      } catch {
        // it has ended before
      }
    }
  }
  return {
    entry: { command: server.command, args: server.args, session: of === "legacy" ? "per-client" : "shared" },
    ran: async () => tools(await Effect.runPromise(server.executions)),
    kill,
    become: async (to) => {
      await Effect.runPromise(server.become({ era: to }))
      await kill()
    }
  }
}

const gateway = async (entry: object): Promise<URL> => {
  const file = { keepalive: { interval: "5 seconds", timeout: "1 second" }, mcpServers: { one: entry } }
  const folder = await folderWith({ "mcp.json": file })
  const args = ["serve", "--config", `${folder}/mcp.json`, "--state", `${folder}/state`, "--port", "0", "--json"]
  const { ended, output } = await start(args)
  let isOver = false
  void ended.then(() => (isOver = true))
  await until(() => output.stdout.endsWith("\n") || isOver)
  const { mcp }: { readonly mcp: string } = JSON.parse(output.stdout)
  return new URL(mcp)
}

const info = { name: "a host", version: "1" }
const capabilities = { elicitation: { form: {} }, sampling: {} }
const accepted = { action: "accept" as const, content: { name: "Ada" } }
const sampled = { role: "assistant" as const, model: "m", content: { type: "text" as const, text: "sampled here" } }

const legacyHost = async (url: URL): Promise<Host> => {
  const client = new LegacyClient(info, { capabilities })
  const heard: Array<string> = []
  client.setRequestHandler(ElicitRequestSchema, () => accepted)
  client.setRequestHandler(CreateMessageRequestSchema, () => sampled)
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push("tools"))
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void heard.push(params.uri))
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.level))
  await client.connect(new LegacyTransport(url))
  onTestFinished(() => client.close())
  return {
    heard,
    call: async (name, args = {}, onprogress) =>
      JSON.stringify(
        await client.callTool({ name, arguments: args }, undefined, onprogress === undefined ? {} : { onprogress })
      ),
    abandon: async (name, args, when) => {
      const controller = new AbortController()
      const calling = client.callTool({ name, arguments: args }, undefined, { signal: controller.signal })
      const ended = calling.catch(() => {})
      await when()
      controller.abort()
      await ended
    },
    listen: async (uri) => (uri === undefined ? undefined : client.subscribeResource({ uri })),
    logsFrom: (level) => client.setLoggingLevel(level)
  }
}

const modernHost = async (url: URL): Promise<Host> => {
  const client = new ModernClient(info, { capabilities, versionNegotiation: { mode: "auto" } })
  const heard: Array<string> = []
  let level: string | undefined
  client.setRequestHandler("elicitation/create", () => accepted)
  client.setRequestHandler("sampling/createMessage", () => sampled)
  client.setNotificationHandler("notifications/tools/list_changed", () => void heard.push("tools"))
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri))
  client.setNotificationHandler("notifications/message", ({ params }) => void heard.push(params.level))
  await client.connect(new ModernTransport(url))
  onTestFinished(() => client.close())
  assert.strictEqual(client.getProtocolEra(), "modern")
  const meta = () => (level === undefined ? {} : { _meta: { "io.modelcontextprotocol/logLevel": level } })
  return {
    heard,
    call: async (name, args = {}, onprogress) =>
      JSON.stringify(
        await client.callTool({ name, arguments: args, ...meta() }, onprogress === undefined ? {} : { onprogress })
      ),
    abandon: async (name, args, when) => {
      const controller = new AbortController()
      const ended = client.callTool({ name, arguments: args }, { signal: controller.signal }).catch(() => {})
      await when()
      controller.abort()
      await ended
    },
    listen: (uri) =>
      client.listen({ toolsListChanged: true, ...(uri === undefined ? {} : { resourceSubscriptions: [uri] }) }),
    logsFrom: async (from) => {
      level = from
    }
  }
}

const hosts = { legacy: legacyHost, modern: modernHost }
const servers = { "over HTTP": overHttp, "as a child process": asChild }
const eras = ["legacy", "modern"] as const

/** Until a session answers again. */
const back = async ({ call }: Host): Promise<void> => {
  await until(async () => (await call("echo", { message: "back" }).catch(() => "")).includes("Echo: back"))
}

for (const [kind, serve] of Object.entries(servers))
  for (const of of eras)
    for (const era of eras)
      describe(`a host of the ${of} era, before a server of the ${era} era ${kind}`, { timeout: 60_000 }, () => {
        it("calls, hears of progress, logs and changes, takes a call back, and calls on after a kill", async () => {
          const behind = await serve(era, of)
          const host = await hosts[of](await gateway(behind.entry))
          assert.include(await host.call("echo", { message: "hi" }), "Echo: hi")
          let steps = 0
          await host.call("slow", { ms: 700 }, () => void steps++)
          assert.isAtLeast(steps, 2)
          await host.logsFrom("info")
          await host.call("log", { level: "error" })
          await until(() => host.heard.includes("error"))
          // one of the legacy era has none that can be subscribed to
          await host.listen(era === "modern" ? "note://1" : undefined)
          await host.call("touch")
          // over HTTP one of the legacy era tells the session alone in which it was called, and not the one that listens for all hosts
          const isTold = serve === asChild || of === "legacy" || era === "modern"
          if (isTold) await until(() => host.heard.includes("tools"))
          if (era === "modern") await until(() => host.heard.includes("note://1"))
          const slow = async () => (await behind.ran()).filter((tool) => tool === "slow").length
          await host.abandon("slow", { ms: 20_000 }, () => until(async () => (await slow()) === 2))
          const cut = host.call("slow", { ms: 20_000 })
          await until(async () => (await slow()) === 3)
          await behind.kill()
          assert.include(await cut, "OutcomeUnknown")
          await back(host)
          assert.strictEqual(await slow(), 3)
        })

        it("calls on when it becomes one of the other era", async () => {
          const behind = await serve(era, of)
          const host = await hosts[of](await gateway(behind.entry))
          assert.include(await host.call("echo", { message: "hi" }), "Echo: hi")
          await behind.become(era === "legacy" ? "modern" : "legacy")
          await back(host)
        })
      })

// that server asks only in answer to requests of the modern era
for (const [kind, serve] of Object.entries(servers))
  for (const of of eras)
    describe(`a host of the ${of} era`, { timeout: 60_000 }, () => {
      it(`is asked by a server of the modern era ${kind} as its own has it, and the call goes on with the answer`, async () => {
        const behind = await serve("modern", of)
        const host = await hosts[of](await gateway(behind.entry))
        assert.include(await host.call("ask"), "hello Ada")
        assert.include(await host.call("sample"), "sampled here")
        assert.deepStrictEqual(await behind.ran(), ["ask", "ask", "sample", "sample"])
      })
    })
