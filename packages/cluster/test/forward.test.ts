/** What two processes hear of one server whose session one of them has, over the wire between them. */
import { assert, describe, it } from "@effect/vitest"
import { Client as Client2 } from "@modelcontextprotocol/client"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { BackendError } from "@vmcp-keepalive/core"
import { ForwardTransport, type Peer } from "@vmcp-keepalive/sdk-client/peer"
import { McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber, Option } from "effect"
import { member } from "./support/member.ts"
import { make, until } from "./support/world.ts"
import { shared } from "./support/shared.ts"

const lease = 6000
const database = shared()

const ids = Array.from({ length: 12 }, (_, index) => `backend-${index}`)

/** A real server, this process, and another one that keeps the backend. */
const of = Effect.fn(function* (era: "legacy" | "modern") {
  const server = yield* McpServers.sdk2({ era })
  const backends = Object.fromEntries(ids.map((id) => [id, server.url]))
  const made = yield* make({ storage: database(), backends: 0, servers: { backends }, lease })
  const other = yield* made.replica
  const { address, cluster } = yield* member({ storage: database(), lease, backends })
  const keptBy = (owner: string) =>
    Effect.map(cluster.states, (states) =>
      [...states].flatMap(([id, standing]) =>
        standing.owner === owner && standing.state?._tag === "Connected" ? [id] : []
      )
    )
  const [there, here] = yield* until(
    "both keep some",
    Effect.all([keptBy(other.address), keptBy(address)]),
    ([there, here]) => there.length > 0 && here.length > 0 && there.length + here.length === ids.length
  )
  const get = (id: string | undefined) => Effect.map(cluster.fleet.get(id ?? ""), Option.getOrThrow)
  return { backend: yield* get(there[0]), here: yield* get(here[0]), other, server }
})
const world = of("legacy")

const call = (name: string, args: object, progressToken?: string) => ({
  method: "tools/call",
  params: { name, arguments: args, ...(progressToken === undefined ? {} : { _meta: { progressToken } }) }
})

describe("a backend that another process keeps", () => {
  it.live(
    "tells of the progress of a call before its answer, of a log message, and of a changed list, within milliseconds",
    () =>
      Effect.gen(function* () {
        const { backend, here } = yield* world
        const order: Array<unknown> = []
        let said = 0
        const listen = (peer: Peer.Peer) => {
          peer.listen({
            onNotification: ({ method, params }, { relatedRequestId }) => {
              if (method === "notifications/message") said = performance.now()
              order.push([method, params?.["progressToken"], relatedRequestId])
            }
          })
          return Promise.resolve()
        }
        yield* backend.use(listen)
        let label: number | undefined
        yield* backend.use((peer, signal) =>
          peer.request(call("slow", { ms: 500 }, "mine"), {
            signal,
            onId: (id) => (label = id),
            onAnswer: () => order.push("answer")
          })
        )
        assert.isAbove(order.length, 2)
        assert.strictEqual(order.pop(), "answer")
        for (const told of order) assert.deepStrictEqual(told, ["notifications/progress", "mine", label])
        // the same where no other process is between
        yield* here.use(listen)
        const times: ReadonlyArray<Array<number>> = [[], []]
        for (let count = 0; count < 40; count++)
          for (const [index, each] of [backend, here].entries()) {
            const asked = performance.now()
            yield* each.use((peer, signal) => peer.request(call("log", { level: "info" }), { signal }))
            // it was said before the answer
            assert.isAbove(said, asked)
            times[index]!.push(said - asked)
          }
        const [there, direct] = times.map((each) => each.toSorted((one, other) => one - other)[10] ?? Infinity)
        yield* Effect.log(
          `a notification took ${(there! - direct!).toFixed(2)} ms more from another process (first quartile)`
        )
        // Nagle's algorithm would make each 40 or more; other work on this machine makes some so.
        assert.isBelow(there! - direct!, 30)

        order.length = 0
        yield* backend.use((peer, signal) => peer.request(call("touch", {}), { signal }))
        yield* until(
          "the change has come",
          Effect.sync(() => order.length),
          (length) => length > 0
        )
        assert.deepStrictEqual(order[0], ["notifications/tools/list_changed", undefined, undefined])
      }),
    120_000
  )

  it.live(
    "ends the session towards its listeners where its process is killed, and goes on with the next; what was held is replaced",
    () =>
      Effect.gen(function* () {
        const { backend, other, server } = yield* world
        let closed = 0
        const see = (peer: Peer.Peer) => {
          peer.listen({ onNotification: () => {}, onClose: () => closed++ })
          return Promise.resolve(peer.server)
        }
        const first = yield* backend.use(see)
        assert.strictEqual(first?.["serverInfo"] !== undefined, true)
        const outcome = yield* backend.pinned((session) =>
          Effect.gen(function* () {
            yield* session.use((peer) => peer.request(call("echo", { message: "held" })))
            const flying = yield* Effect.forkChild(
              Effect.flip(session.use((peer, signal) => peer.request(call("slow", { ms: 30_000 }), { signal })))
            )
            yield* until("it is executed", server.executions, (executions) =>
              executions.some(({ tool }) => tool === "slow")
            )
            yield* other.signal("SIGKILL")
            const killed = performance.now()
            assert.instanceOf(yield* Fiber.join(flying), BackendError.OutcomeUnknown)
            const after = performance.now() - killed
            yield* Effect.log(`a call in flight was told so ${after.toFixed(0)} ms after the SIGKILL`)
            assert.isBelow(after, 1000)
            return yield* Effect.flip(session.use((peer) => peer.request(call("echo", { message: "lost" }))))
          })
        )
        assert.instanceOf(outcome, BackendError.SessionReplaced)
        assert.strictEqual(closed, 1)
        const next = yield* backend.use(see)
        assert.notStrictEqual(next, first)
        assert.deepStrictEqual({ ...next }, { ...first })
      }),
    120_000
  )

  for (const era of ["legacy", "modern"] as const)
    it.live(
      `serves clients of both SDKs there, where its server is of the ${era} era`,
      () =>
        Effect.gen(function* () {
          const { backend, server } = yield* of(era)
          const seen = yield* backend.use(async (peer, signal) => {
            const one = new Client({ name: "one", version: "1" })
            const two = new Client2({ name: "two", version: "2" }, { versionNegotiation: { mode: "auto" } })
            await one.connect(new ForwardTransport.ForwardTransport(peer))
            await two.connect(new ForwardTransport.ForwardTransport(peer))
            const steps: ReadonlyArray<Array<number>> = [[], []]
            const slow = { name: "slow", arguments: { ms: 450 } }
            await Promise.all([
              one.callTool(slow, undefined, { signal, onprogress: ({ progress }) => steps[0]!.push(progress) }),
              two.callTool(slow, { signal, onprogress: ({ progress }) => steps[1]!.push(progress) })
            ])
            const answers = [
              await one.callTool({ name: "echo", arguments: { message: "one" } }),
              await two.callTool({ name: "echo", arguments: { message: "two" } })
            ]
            const refused = await one.callTool({ name: "no such tool" }).then(
              ({ isError }) => isError === true,
              () => true
            )
            await one.close()
            await two.close()
            return { answers, refused, steps }
          })
          assert.include(JSON.stringify(seen.answers[0]), "Echo: one")
          assert.include(JSON.stringify(seen.answers[1]), "Echo: two")
          assert.isTrue(seen.refused)
          for (const steps of seen.steps) {
            assert.isAbove(steps.length, 1)
            // all of its own, once and in order
            assert.deepStrictEqual(
              steps,
              steps.map((_, index) => index)
            )
          }
          const slow = (yield* server.executions).filter(({ tool }) => tool === "slow")
          assert.strictEqual(slow.length, 2)
        }),
      120_000
    )
})
