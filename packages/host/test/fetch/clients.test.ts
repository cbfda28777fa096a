/** The endpoint as clients of both SDKs use it, in this process and on a loopback port, through the death of real servers. */
import { assert, describe, it } from "@effect/vitest"
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client"
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport as Transport1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { CreateMessageRequestSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import { Leftovers, McpServers, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect, Fiber, Schedule, type Scope } from "effect"
import { ErrorAnswer } from "../../src/index.ts"
import { keptFetch, type KeptFetch } from "../../src/KeptFetch.ts"
import { listen } from "../../src/Loopback.ts"
import { policy as quick } from "../support.ts"

/** Calls wait for a server that is slow to start again. */
const policy = { ...quick, waitForSession: "20 seconds", circuit: { failures: 1000, openFor: "1 second" } } as const

/** What the tests need of a framework. */
interface Host {
  readonly callTool: (
    call: { readonly name: string; readonly arguments: Record<string, unknown> },
    options?: { readonly onprogress?: (progress: { readonly progress: number }) => void; readonly signal?: AbortSignal }
  ) => Promise<unknown>
  readonly listTools: () => Promise<{ readonly tools: ReadonlyArray<unknown> }>
  readonly seen: { changed: number; closed: number; sampled: number; errors: Array<string> }
  readonly close: () => Promise<void>
}

interface Door {
  readonly url: URL
  readonly fetch?: KeptFetch["fetch"]
}

const fresh = (): Host["seen"] => ({ changed: 0, closed: 0, sampled: 0, errors: [] })
const info = { name: "host", version: "1" }
const capabilities = { sampling: {} }
const sample = { role: "assistant", model: "m", content: { type: "text", text: "sampled" } } as const

const clients = {
  "SDK 1": async ({ fetch, url }: Door): Promise<Host> => {
    const seen = fresh()
    const client = new Client1(info, { capabilities })
    client.onclose = () => void seen.closed++
    client.onerror = (error) => void seen.errors.push(error.message)
    client.setRequestHandler(CreateMessageRequestSchema, () => (seen.sampled++, sample))
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => void seen.changed++)
    const transport = new Transport1(url, fetch === undefined ? {} : { fetch })
    await client.connect(transport)
    return {
      seen,
      callTool: (call, options) => client.callTool(call, undefined, options),
      listTools: () => client.listTools(),
      close: () => client.close()
    }
  },
  "SDK 2": async ({ fetch, url }: Door): Promise<Host> => {
    const seen = fresh()
    const client = new Client2(info, { capabilities, versionNegotiation: { mode: "auto" } })
    client.onclose = () => void seen.closed++
    client.onerror = (error) => void seen.errors.push(error.message)
    client.setRequestHandler("sampling/createMessage", () => (seen.sampled++, sample))
    client.setNotificationHandler("notifications/tools/list_changed", () => void seen.changed++)
    await client.connect(new Transport2(url, fetch === undefined ? {} : { fetch }))
    return {
      seen,
      callTool: (call, options) => client.callTool(call, options),
      listTools: () => client.listTools(),
      close: () => client.close()
    }
  }
}

/** How a client comes in. */
const doors = {
  fetch: (kept: KeptFetch): Effect.Effect<Door> => Effect.succeed({ url: kept.url, fetch: kept.fetch }),
  loopback: (kept: KeptFetch): Effect.Effect<Door, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.promise(() => listen(kept)),
      (port) => Effect.promise(() => port.close())
    )
}

const hostOn = Effect.fnUntraced(function* (
  client: keyof typeof clients,
  door: keyof typeof doors,
  make: () => KeptFetch
): Effect.fn.Return<Host, never, Scope.Scope> {
  const kept = yield* Effect.acquireRelease(Effect.sync(make), (kept) => Effect.promise(() => kept.close()))
  const opened = yield* doors[door](kept)
  return yield* Effect.acquireRelease(
    Effect.promise(() => clients[client](opened)),
    (host) => Effect.promise(() => host.close())
  )
})

const text = (result: unknown): string => JSON.stringify(result)
const call =
  (...args: Parameters<Host["callTool"]>) =>
  (host: Host) =>
    Effect.promise(() => host.callTool(...args))
const failing = (host: Host, ...args: Parameters<Host["callTool"]>) =>
  Effect.promise(() =>
    host.callTool(...args).then(
      (result) => assert.fail(`it succeeded: ${text(result)}`),
      (error: unknown) => error
    )
  )
const until = (what: () => boolean) =>
  Effect.promise(async () => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 5))
  })

describe.each([
  ["SDK 1", "fetch"],
  ["SDK 2", "fetch"],
  ["SDK 2", "loopback"]
] as const)("a client of %s through %s", (client, door) => {
  it.live("does not notice that a server over HTTP dies, and is told what became of a call that was under way", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make()
      const server = yield* ScriptedServer.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const connector = HttpPeerConnector.make({ url: server.url })
          const host = yield* hostOn(client, door, () => keptFetch({ id: "scripted", connector, policy }))
          assert.include(text(yield* call(server.echo("1"))(host)), "Echo: 1")
          const { changed } = host.seen
          yield* server.restart
          yield* until(() => host.seen.changed > changed)
          assert.isAbove((yield* Effect.promise(() => host.listTools())).tools.length, 0)
          assert.include(text(yield* call(server.echo("2"))(host)), "Echo: 2")
          const slow = yield* Effect.forkChild(failing(host, server.slow(20)))
          const isExecuted = Effect.map(server.executions, (all) => all.length === 3)
          yield* Effect.repeat(isExecuted, { until: (is) => is, schedule: Schedule.spaced("5 millis") })
          yield* server.kill
          const error = yield* Effect.timeout(Fiber.join(slow), "5 seconds")
          assert.strictEqual(ErrorAnswer.dataOf(error)?.executed, "unknown")
          yield* server.start
          assert.include(text(yield* call(server.echo("3"))(host)), "Echo: 3")
          assert.deepStrictEqual([host.seen.closed, host.seen.errors], [0, []])
        })
      )
      const executed = (yield* server.executions).map(({ tool }) => tool)
      assert.deepStrictEqual(executed, ["echo", "echo", "slow", "echo"])
      yield* server.kill
      yield* leftovers.check
    }).pipe(Effect.scoped)
  )

  it.live("does not notice that a server over stdio dies", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const connector = StdioPeerConnector.make({ command: server.command, args: server.args })
      const host = yield* hostOn(client, door, () => keptFetch({ id: "scripted", connector, policy }))
      const pid = Effect.map(
        call({ name: "pid", arguments: {} })(host),
        (result) => /"text":"(\d+)"/.exec(text(result))?.[1]
      )
      const first = yield* pid
      const error = yield* failing(host, { name: "kill", arguments: {} })
      assert.strictEqual(ErrorAnswer.dataOf(error)?.executed, "unknown")
      assert.notStrictEqual(yield* pid, first)
      assert.deepStrictEqual([host.seen.closed, host.seen.errors], [0, []])
    }).pipe(Effect.scoped)
  )

  it.live("is asked by the server, hears of progress, and cancels one call", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const connector = HttpPeerConnector.make({ url: server.url })
      const host = yield* hostOn(client, door, () => keptFetch({ id: "everything", connector, policy }))
      const asked = { name: "trigger-sampling-request", arguments: { prompt: "x", maxTokens: 10 } }
      assert.include(text(yield* call(asked)(host)), "sampled")
      assert.strictEqual(host.seen.sampled, 1)
      const progress: Array<number> = []
      const long = { name: "trigger-long-running-operation", arguments: { duration: 0.5, steps: 5 } }
      yield* call(long, { onprogress: (step) => void progress.push(step.progress) })(host)
      assert.deepStrictEqual(progress, [1, 2, 3, 4, 5])
      const controller = new AbortController()
      const hanging = yield* Effect.forkChild(failing(host, server.slow(30), { signal: controller.signal }))
      const isExecuted = Effect.map(server.executions, (all) => all.length === 3)
      yield* Effect.repeat(isExecuted, { until: (is) => is, schedule: Schedule.spaced("5 millis") })
      controller.abort("enough")
      yield* Effect.timeout(Fiber.join(hanging), "2 seconds")
      assert.include(text(yield* call(server.echo("after"))(host)), "after")
      assert.strictEqual(host.seen.closed, 0)
    }).pipe(Effect.scoped)
  )
})
