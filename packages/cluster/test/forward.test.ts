/** What two processes hear of one server whose session one of them has, over the wire between them. */
import { assert, describe, it } from "@effect/vitest"
import { BackendError } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import { member } from "./support/member.ts"
import { make, type Storage, storage, until } from "./support/world.ts"

const lease = 6000
const scope = Scope.makeUnsafe()
let database: Storage
beforeAll(async () => {
  database = await Effect.runPromise(Scope.provide(storage, scope))
}, 60_000)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const ids = Array.from({ length: 12 }, (_, index) => `backend-${index}`)

/** A real server, this process, and another one that keeps the backend. */
const world = Effect.gen(function* () {
  const server = yield* McpServers.sdk2({ era: "legacy" })
  const backends = Object.fromEntries(ids.map((id) => [id, server.url]))
  const made = yield* make({ storage: database, backends, lease })
  const other = yield* made.replica
  const { address, cluster } = yield* member({ storage: database, lease, backends })
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
        const [there, direct] = times.map((each) => each.toSorted((one, other) => one - other)[20] ?? Infinity)
        yield* Effect.log(`a notification took ${(there! - direct!).toFixed(2)} ms more from another process (median)`)
        // Nagle's algorithm would make it 40 or more.
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
    60_000
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
    60_000
  )
})
