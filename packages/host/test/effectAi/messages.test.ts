/** What servers say to Effect's client on a kept connection beside answers: progress, notifications, requests. */
import { assert, describe, it } from "@effect/vitest"
import { McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Context, Deferred, Effect, Fiber, Queue, Result, Stream } from "effect"
import { McpClient, McpSchema } from "effect/ai"
import { KeptMcpClient } from "../../src/effectAi.ts"
import * as Support from "./support.ts"

const { begin, call, connect, settings } = Support

const progressing = { name: "progress", arguments: { ms: 30, everyMs: 10 } }

class Log extends Context.Service<Log, Array<string>>()("test/Log") {}
const note = (line: string) => Effect.map(Log, (log) => log.push(line))

describe("progress", () => {
  it.live("is told before the effect goes on with the result, each call its own, with the services of the caller", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const log: Array<string> = []
      const told = call(client, progressing).pipe(
        Effect.tap(note("result")),
        KeptMcpClient.withProgress(({ progress, request, total }) =>
          // what takes its time comes first as well
          Effect.andThen(Effect.sleep("20 millis"), note(`${String(request.params?.["name"])} ${progress}/${total}`))
        ),
        Effect.provideService(Log, log)
      )
      yield* Effect.all([told, call(client, progressing)], { concurrency: 2 })
      assert.deepStrictEqual(log, ["progress 1/3", "progress 2/3", "progress 3/3", "result"])
      assert.deepStrictEqual(yield* Support.executed(server), ["progress", "progress"])
    })
  )

  it.live("that is told faster than it is handled is bounded: the oldest of what waits is dropped", () =>
    Effect.gen(function* () {
      const { client } = yield* begin()
      const seen: Array<number> = []
      const all = yield* Deferred.make<void>()
      const calling = call(client, { name: "progress", arguments: { ms: 700, everyMs: 1 } }).pipe(
        KeptMcpClient.withProgress(({ progress }) =>
          Effect.andThen(
            Effect.sync(() => seen.push(progress)),
            progress === 1 ? Deferred.await(all) : Effect.void
          )
        )
      )
      const settled = yield* client.transport.backend.events.pipe(
        Stream.filter(({ _tag }) => _tag === "CallSettled"),
        Stream.runHead,
        Effect.forkChild({ startImmediately: true })
      )
      const fiber = yield* Effect.forkChild(calling, { startImmediately: true })
      // everything was told, and the first is still being handled
      yield* Fiber.join(settled)
      assert.deepStrictEqual(seen, [1])
      yield* Deferred.succeed(all, undefined)
      yield* Fiber.join(fiber)
      assert.strictEqual(seen[0], 1)
      assert.strictEqual(seen.at(-1), 700)
      // the one in hand, and those that wait
      assert.isAtMost(seen.length, 257)
    })
  )

  it.live("that is interrupted with its call leaves the session and other calls alone", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const first = yield* Deferred.make<void>()
      const calling = call(client, { name: "progress", arguments: { ms: 60_000, everyMs: 10 } }).pipe(
        KeptMcpClient.withProgress(() => Deferred.succeed(first, undefined))
      )
      const fiber = yield* Effect.forkChild(calling, { startImmediately: true })
      yield* Deferred.await(first)
      yield* Fiber.interrupt(fiber)
      yield* Support.until(Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["notifications/cancelled"] === 1))
      assert.strictEqual(yield* call(client, Support.echo("after")), "Echo: after")
      assert.strictEqual(yield* Support.generation(client), 1)
    })
  )
})

describe("notifications of the server's", () => {
  it.live("come in order, on each of its sessions, and end with the scope", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const heard = yield* Queue.unbounded<string>()
      const reading = yield* client.transport.notifications.pipe(
        Stream.runForEach(({ method, params }) => Queue.offer(heard, `${method} ${JSON.stringify(params?.["data"])}`)),
        Effect.forkChild({ startImmediately: true })
      )
      const say = (data: number) =>
        server.control(
          ScriptedServer.Control.Notify({ method: "notifications/message", params: { level: "info", data } })
        )
      yield* Support.until(Effect.map(server.stats, ({ streams }) => streams === 1))
      for (const data of [1, 2, 3]) yield* say(data)
      assert.deepStrictEqual(
        yield* Queue.takeN(heard, 3),
        [1, 2, 3].map((data) => `notifications/message ${data}`)
      )
      yield* server.restart
      // the lists may be others now
      assert.deepStrictEqual(yield* Queue.takeN(heard, 1), ["notifications/tools/list_changed undefined"])
      yield* Support.until(Effect.map(server.stats, ({ streams }) => streams === 1))
      yield* say(4)
      assert.deepStrictEqual(yield* Queue.takeN(heard, 1), ["notifications/message 4"])
      yield* Fiber.interrupt(reading)
    })
  )

  it.live("end with the scope of the connection", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const reading = yield* Effect.scoped(
        Effect.gen(function* () {
          const client = yield* connect(settings(server.port))
          return yield* Effect.forkDetach(Stream.runDrain(client.transport.notifications), { startImmediately: true })
        })
      )
      yield* Fiber.join(reading)
    })
  )
})

describe("requests of the server's", () => {
  const roots = { roots: [{ uri: "file:///here", name: "here" }] }

  it.live("are answered by the application, on each session, with its own errors, where it declares that it can", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const asked: Array<string> = []
      const client = yield* connect({
        ...settings(server.port),
        capabilities: { roots: {}, sampling: {} },
        onRequest: ({ method }) =>
          Effect.suspend(() => {
            asked.push(method)
            if (method === "roots/list") return Effect.succeed(roots)
            return Effect.fail(new McpSchema.InvalidRequest({ message: "No model today" }))
          })
      })
      const ask = Effect.all([
        call(client, { name: "get-roots-list", arguments: {} }),
        call(client, { name: "trigger-sampling-request", arguments: { prompt: "?", maxTokens: 1 } })
      ])
      const [found, sampled] = yield* ask
      assert.include(found, "file:///here")
      assert.include(sampled, "No model today")
      yield* server.restart
      assert.deepStrictEqual(yield* ask, [found, sampled])
      assert.include(asked, "roots/list")
    })
  )

  it.live("that nobody answers are refused, and what the application dies of is not told", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const sampling = { name: "trigger-sampling-request", arguments: { prompt: "?", maxTokens: 1 } }
      const declared = { ...settings(server.port), capabilities: { sampling: {} } }
      const refused = yield* call(yield* connect(declared), sampling)
      assert.include(refused, "Unsupported MCP method: sampling/createMessage")
      const dying = yield* connect({ ...declared, onRequest: () => Effect.die(new Error("a secret")) })
      const died = yield* call(dying, sampling)
      assert.include(died, "Internal error")
      assert.notInclude(died, "a secret")
      // Effect's own declares nothing, so that there is no such tool
      const silent = yield* connect(settings(server.port))
      assert.isFalse((yield* silent.listTools()).some(({ name }) => name === sampling.name))
    })
  )

  it.live("are interrupted when their session ends", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const asked = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const client = yield* connect({
        ...settings(server.port),
        capabilities: { sampling: {} },
        onRequest: () =>
          Deferred.succeed(asked, undefined).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
      })
      const calling = yield* Effect.forkChild(
        Effect.result(call(client, { name: "trigger-sampling-request", arguments: { prompt: "?", maxTokens: 1 } })),
        { startImmediately: true }
      )
      yield* Deferred.await(asked)
      yield* server.restart
      yield* Deferred.await(interrupted)
      assert.isTrue(Result.isFailure(yield* Fiber.join(calling)))
      assert.strictEqual(yield* call(client, Support.echo("after")), "Echo: after")
    })
  )
})

it.live("a request under an id that is under way is refused, and the first gets its answer", () =>
  Effect.gen(function* () {
    const { client, server } = yield* begin()
    const request = { jsonrpc: "2.0", id: "own", method: "tools/call", params: { ...Support.slow(300) } } as const
    const first = yield* Effect.forkChild(client.transport.request(request), { startImmediately: true })
    const error = yield* Effect.flip(client.transport.request(request))
    assert.strictEqual(error.reason._tag, "ProtocolError")
    assert.property(yield* Fiber.join(first), "result")
    assert.deepStrictEqual(yield* Support.executed(server), ["slow"])
    assert.isTrue(McpClient.isMcpClient(client))
  })
)
