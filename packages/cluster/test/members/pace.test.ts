/** 300 backends of one origin that lost their sessions at once, and the three processes that keep them: in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Backend, Starts } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Clock, Effect, Exit, Scope } from "effect"
import { RunnerAddress } from "effect/cluster"
import { TestClock } from "effect/testing"
import * as Members from "../../src/internal/members/Members.ts"
import { withSharedOrigin } from "../../src/internal/members/sharedOrigin.ts"

const originStarts = 10
const latency = 100
const hosts = ["a", "b", "c"]
const addresses = hosts.map((host) => RunnerAddress.RunnerAddress.make({ host, port: 1 }))
const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** Attempts at the origin, of all processes. */
const makeOrigin = () => {
  const counts = { open: 0, most: 0, begun: 0 }
  const counted = <A, E, R>(attempt: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        counts.begun++
        counts.most = Math.max(counts.most, ++counts.open)
      }),
      () => attempt,
      () => Effect.sync(() => void counts.open--)
    )
  return { counts, counted }
}

/** A process that makes a hundred backends at once, with limits of its own, as it knows of the others. */
const begin = (host: string, { counted }: ReturnType<typeof makeOrigin>) =>
  Effect.gen(function* () {
    const members = Members.make({ address: { host, port: 1 } })
    members.are(addresses)
    const scope = yield* Scope.make()
    const backends = yield* Effect.forEach(Array.from({ length: 100 }), (_, index) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        Object.assign(server.script, { latency })
        const { connector } = server
        const own = {
          ...connector,
          origin: { key: "https://example.com" },
          open: (host: Parameters<typeof connector.open>[0]) => counted(connector.open(host))
        }
        return yield* Backend.make({
          id: `${host}-${index}`,
          connector: withSharedOrigin(own, () => members.share(originStarts))
        })
      })
    ).pipe(Scope.provide(scope), Effect.provideService(Starts.Current, yield* Starts.make()))
    return { backends, members, end: Scope.close(scope, Exit.void) }
  })

const connected = (processes: ReadonlyArray<Effect.Success<ReturnType<typeof begin>>>) =>
  Effect.map(
    Effect.forEach(
      processes.flatMap(({ backends }) => backends),
      ({ state }) => state
    ),
    (states) => states.filter(({ _tag }) => _tag === "Connected").length
  )

describe("300 backends of one origin", () => {
  it.effect("come back at the pace that was set for the cluster, however many processes there are", () =>
    Effect.gen(function* () {
      const origin = makeOrigin()
      const processes = yield* Effect.forEach(hosts, (host) => begin(host, origin))
      const at = yield* now
      while ((yield* connected(processes)) < 300) yield* TestClock.adjust(latency / 4)
      const took = (yield* now) - at
      assert.deepStrictEqual([origin.counts.begun, origin.counts.most], [300, originStarts])
      // each takes two answers of its server
      const asOne = (300 / originStarts) * latency * 2
      assert.isAtLeast(took, asOne * 0.9)
      assert.isAtMost(took, asOne * 1.3)
      console.log(`300 backends, 3 processes, ${originStarts} at a time: ${took} ms`)
    })
  )

  it.effect("keep that pace with the processes that are left where one goes", () =>
    Effect.gen(function* () {
      const origin = makeOrigin()
      const processes = yield* Effect.forEach(hosts, (host) => begin(host, origin))
      const [gone, ...left] = processes
      yield* TestClock.adjust(latency * 4)
      yield* gone!.end
      for (const { members } of left) members.are(addresses.slice(1))
      // what was theirs before goes on; then the others have its part, too
      yield* TestClock.adjust("1 second")
      assert.strictEqual(origin.counts.open, originStarts)
      assert.strictEqual(origin.counts.most, originStarts)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* connected(left), 200)
    })
  )
})
