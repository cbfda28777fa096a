/** One host of the legacy era, on servers of every era over HTTP and as child processes: what it sees is the same. */
import { assert, describe, it } from "@effect/vitest"
import type { Connector } from "@vmcp-keepalive/core"
import { Message, type Peer } from "@vmcp-keepalive/sdk-client/peer"
import { FaultProxy, type McpServer, McpServers, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect, Fiber, Schedule, type Scope, Stream } from "effect"
import { errorOf, hello, initialized, type KeptHost, policy, resultOf, textOf } from "../support.ts"

type Era = "legacy" | "modern" | "dual"

/** A server, and what a test does to it. */
interface Started {
  readonly connector: Connector.Connector<Peer.Peer>
  readonly executions: Effect.Effect<ReadonlyArray<McpServer.Execution>>
  readonly kill: Effect.Effect<unknown, unknown>
  readonly become: (era: Era) => Effect.Effect<unknown, unknown>
}

const overHttp = (era: Era): Effect.Effect<Started, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* McpServers.sdk2({ era })
    const proxy = yield* FaultProxy.make({ target: { port: server.port } })
    return {
      connector: HttpPeerConnector.make({ url: `${proxy.url}/mcp` }),
      executions: server.executions,
      kill: server.restart,
      become: server.become
    }
  })

const asChild = (era: Era): Effect.Effect<Started, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* StdioServers.sdk2({ era })
    const kill = Effect.gen(function* () {
      const pid = (yield* server.pids).at(-1)
      assert.isDefined(pid)
      process.kill(pid ?? 0, "SIGKILL")
    })
    return {
      connector: StdioPeerConnector.make({ command: server.command, args: [...server.args] }),
      executions: server.executions,
      kill,
      become: (to) => Effect.andThen(server.become({ era: to }), kill)
    }
  })

const words: Message.Params = {
  ...hello,
  capabilities: { ...Object(hello["capabilities"]), elicitation: { form: {} } }
}
const call = (host: KeptHost, name: string, args: object = {}, meta: object = {}) =>
  host.ask("tools/call", { name, arguments: args, _meta: { ...meta } })

const keep = (connector: Started["connector"]) =>
  initialized({ id: "s", connector, policy: { ...policy, connectTimeout: "20 seconds", circuit: "none" } }, words)

/** Answers the next question of the server's. */
const answering = (host: KeptHost, result: Message.Result) =>
  Effect.map(
    host.until((message): message is Message.Request => Message.isRequest(message)),
    (question) => {
      host.say({ jsonrpc: "2.0", id: question.id, result })
      return question
    }
  )

/** Until there is another session than the first. */
const renewed = ({ kept }: KeptHost) =>
  kept.backend.changes.pipe(
    Stream.filter((state) => state._tag === "Connected" && state.generation > 1),
    Stream.runHead,
    Effect.timeout("20 seconds")
  )

/** Until a new session answers. */
const eventually = (host: KeptHost) =>
  call(host, "echo", { message: "back" }).pipe(
    Effect.map(textOf),
    Effect.retry({ while: () => true, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("20 seconds")
  )

for (const [kind, start] of [
  ["over HTTP", overHttp],
  ["as a child process", asChild]
] as const)
  describe(`a server ${kind}`, { timeout: 60_000 }, () => {
    for (const era of ["modern", "dual", "legacy"] as const)
      it.live(`of the ${era} era is called, tells of progress, of changes, and comes back after a kill`, () =>
        Effect.gen(function* () {
          const server = yield* start(era)
          const host = yield* keep(server.connector)
          assert.strictEqual(host.kept.server?.protocolVersion, "2025-11-25")
          assert.strictEqual(textOf(yield* call(host, "echo", { message: "hi" })), "Echo: hi")
          assert.strictEqual(textOf(yield* call(host, "slow", { ms: 500 }, { progressToken: "mine" })), "done")
          const progress = yield* host.untilMethod("notifications/progress")
          assert.strictEqual(progress.params?.["progressToken"], "mine")
          yield* call(host, "touch")
          yield* host.untilMethod("notifications/tools/list_changed")
          assert.deepStrictEqual(resultOf(yield* host.ask("logging/setLevel", { level: "info" })), {})
          yield* call(host, "log", { level: "error" })
          yield* host.untilMethod("notifications/message")
          host.say({
            jsonrpc: "2.0",
            id: "mine",
            method: "tools/call",
            params: { name: "slow", arguments: { ms: 20_000 } }
          })
          host.say({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "mine" } })
          yield* call(host, "echo", { message: "after" })
          const before = (yield* server.executions).length
          const cut = yield* Effect.forkChild(call(host, "slow", { ms: 20_000 }))
          yield* Effect.repeat(server.executions, {
            until: (all) => all.length > before,
            schedule: Schedule.spaced("5 millis")
          })
          yield* server.kill
          const lost = yield* host.until(
            (message): message is Message.Answer => Message.isAnswer(message) && "error" in message
          )
          assert.deepInclude(errorOf(lost).data, { error: "OutcomeUnknown", executed: "unknown" })
          assert.strictEqual(yield* eventually(host), "Echo: back")
          assert.strictEqual((yield* server.executions).length, before + 2)
          yield* Fiber.interrupt(cut)
          assert.isFalse(host.received.some((message) => Message.isAnswer(message) && message.id === "mine"))
        }).pipe(Effect.scoped)
      )

    it.live("of the modern era asks its host as one of the legacy era does, and goes on with the answer", () =>
      Effect.gen(function* () {
        const { connector, executions } = yield* start("modern")
        const host = yield* keep(connector)
        const asked = yield* Effect.forkChild(call(host, "ask"))
        const question = yield* answering(host, { action: "accept", content: { name: "Ada" } })
        assert.strictEqual(question.method, "elicitation/create")
        assert.strictEqual(textOf(yield* Fiber.join(asked)), "hello Ada")
        assert.strictEqual((yield* executions).length, 2)
        const uri = "note://1"
        assert.deepStrictEqual(resultOf(yield* host.ask("resources/subscribe", { uri })), {})
        yield* call(host, "touch")
        assert.strictEqual((yield* host.untilMethod("notifications/resources/updated")).params?.["uri"], uri)
      }).pipe(Effect.scoped)
    )

    for (const [from, to] of [
      ["modern", "legacy"],
      ["legacy", "modern"]
    ] as const)
      it.live(
        `becomes one of another era, ${from} to ${to}: its host is told that lists have changed, and calls on`,
        () =>
          Effect.gen(function* () {
            const server = yield* start(from)
            const host = yield* keep(server.connector)
            assert.strictEqual(textOf(yield* call(host, "echo", { message: "before" })), "Echo: before")
            yield* server.become(to)
            // what is written to a child that was killed a moment ago is of unknown outcome
            if (start === asChild) yield* renewed(host)
            assert.strictEqual(yield* eventually(host), "Echo: back")
            yield* host.untilMethod("notifications/tools/list_changed")
            assert.strictEqual((yield* server.executions).length, 2)
          }).pipe(Effect.scoped)
      )
  })
