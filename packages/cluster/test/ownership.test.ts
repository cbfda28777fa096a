/** What those who count are told of the backends that a process keeps. */
import { assert, describe, it } from "@effect/vitest"
import { KeepaliveEvent, Ownership } from "@vmcp-keepalive/core"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { Context, Duration, Effect, Exit, Layer, Logger, Redacted, Scope } from "effect"
import { ClusterBackends } from "../src/index.ts"
import * as Farm from "./support/farm.ts"
import { fewShards, freePort, storage, type Storage, until } from "./support/world.ts"
import { clientOf } from "./support/client.ts"

const lease = Duration.seconds(3)

/** One process of a cluster, in this one, with everything that its observers are told, in order. */
const member = (database: Storage, farm: Farm.Farm, ids: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const address = `127.0.0.1:${yield* freePort}`
    const told: Array<string> = []
    const margins = new Map<string, () => Duration.Duration>()
    const observers = Layer.merge(
      Ownership.layerObserver((backend, margin) => {
        told.push(`kept ${backend}`)
        margins.set(backend, margin)
        return () => {
          told.push(`left ${backend}`)
          margins.delete(backend)
        }
      }),
      KeepaliveEvent.layerObserver((event) => {
        if (event._tag === "Started") told.push(`begins ${event.backend}`)
        if (event._tag === "StateChanged" && event.to._tag === "Closed") told.push(`ends ${event.backend}`)
      })
    )
    const scope = yield* Scope.fork(yield* Effect.scope)
    const layer = ClusterBackends.layer({
      address,
      allowLoopback: true,
      lease,
      shards: fewShards,
      backends: ids.map((id) => {
        const headers = { "x-replica": Redacted.make(address) }
        const settings: HttpPeerTransport.HttpSettings = { kind: "http", url: Redacted.make(farm.url(id)), headers }
        return { id, settings }
      })
    }).pipe(
      Layer.provide(HttpPeerTransport.layer()),
      Layer.provide(observers),
      Layer.provide(clientOf(database.port, 4)),
      Layer.provide(Logger.layer([]))
    )
    const { leaseMargin } = Context.get(
      yield* Scope.provide(Layer.build(layer), scope),
      ClusterBackends.ClusterBackends
    )
    return { told, margins, leaseMargin, end: Scope.close(scope, Exit.void) }
  })

type Member = Effect.Success<ReturnType<typeof member>>

const settled = (members: ReadonlyArray<Member>, ids: ReadonlyArray<string>) =>
  until(
    "each is kept, by one",
    Effect.sync(() => members.map(({ margins }) => [...margins.keys()])),
    (kept) => kept.every(({ length }) => length > 0) && kept.flat().toSorted().join() === ids.toSorted().join()
  )

describe("an observer of ownership", () => {
  it.live(
    "is told of each backend where it is kept, for as long as it is, and how certain that is",
    () =>
      Effect.gen(function* () {
        const database = yield* storage
        const farm = yield* Farm.make
        const ids = Array.from({ length: 12 }, (_, index) => `backend-${index}`)
        const one = yield* member(database, farm, ids)
        yield* settled([one], ids)
        const isOfLease = (margin: Duration.Duration | undefined) => {
          assert.isDefined(margin)
          assert.isAbove(Duration.toMillis(margin), 0)
          assert.isAtMost(Duration.toMillis(margin), Duration.toMillis(lease) * 0.9)
        }
        for (const margin of one.margins.values()) isOfLease(margin())
        isOfLease(yield* one.leaseMargin)

        // one that comes takes its share, and gives it back when it ends
        const two = yield* member(database, farm, ids)
        yield* settled([one, two], ids)
        const moved = [...two.margins.keys()]
        yield* two.end
        yield* settled([one], ids)
        const of = (told: ReadonlyArray<string>, id: string) => told.filter((line) => line.endsWith(` ${id}`))
        const life = (id: string) => [`begins ${id}`, `kept ${id}`, `ends ${id}`, `left ${id}`]
        for (const id of ids) {
          const again = moved.includes(id)
          assert.deepStrictEqual(of(two.told, id), again ? life(id) : [])
          assert.deepStrictEqual(of(one.told, id), [...(again ? life(id) : []), `begins ${id}`, `kept ${id}`])
        }
        assert.isUndefined(yield* two.leaseMargin)

        // without a storage the lease runs out, and everything is left; it is kept again when the storage is back
        yield* database.signal("SIGSTOP")
        yield* until(
          "everything is left",
          Effect.sync(() => one.margins.size),
          (size) => size === 0
        )
        assert.isUndefined(yield* one.leaseMargin)
        yield* database.signal("SIGCONT")
        yield* settled([one], ids)
        isOfLease(yield* one.leaseMargin)
        yield* one.end
        assert.strictEqual(one.margins.size, 0)
      }),
    120_000
  )
})
