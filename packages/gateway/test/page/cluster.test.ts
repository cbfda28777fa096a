/** What readers are told of the gateways that share the backends. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Queue } from "effect"
import { TestClock } from "effect/testing"
import type * as Clusters from "../../src/internal/page/cluster.ts"
import * as Hub from "../../src/internal/page/hub.ts"
import type { Cluster, Row } from "../../src/internal/page/wire.ts"
import * as Fleets from "./fleets.ts"

const here = "10.0.0.1:7777"
const other = "10.0.0.2:7777"

const process = (address: string, backends: ReadonlyArray<string>): Clusters.Process => ({
  address,
  isHere: address === here,
  isHealthy: true,
  backends,
  left: backends.length === 0 ? undefined : Duration.seconds(14)
})

/** A cluster that a test changes. */
const scripted = () => {
  const script = {
    processes: [process(here, ["one"]), process(other, ["two"])] as ReadonlyArray<Clusters.Process>,
    isSilent: false
  }
  const source: Clusters.Source = {
    processes: Effect.suspend(() => (script.isSilent ? Effect.fail("no answer") : Effect.succeed(script.processes))),
    leaseMargin: Effect.sync(() => (script.isSilent ? Duration.seconds(7) : Duration.seconds(13)))
  }
  return { script, source }
}

interface Data {
  readonly cluster?: Cluster
  readonly rows?: ReadonlyArray<Row>
  readonly log?: ReadonlyArray<{ readonly backend: string; readonly text: string }>
}

const decoder = new TextDecoder()

const parse = (bytes: Uint8Array): { readonly event: string; readonly data: Data } => {
  const [, event = "", data = ""] = /^event: (\S+)\nid: \d+\ndata: (.*)\n\n$/.exec(decoder.decode(bytes)) ?? []
  return { event, data: JSON.parse(data) }
}

const start = Effect.gen(function* () {
  const { fleet } = yield* Fleets.make(["one", "two"])
  const { script, source } = scripted()
  const hub = yield* Hub.make(fleet, { cluster: source })
  yield* TestClock.adjust("1 second")
  const opened = yield* hub.open
  if (opened === undefined) return yield* Effect.die("refused")
  const frames = Effect.map(Queue.clear(opened), (all) => all.map(parse))
  return { script, hub, frames }
})

describe("a reader of the hub of one of several gateways", () => {
  it.effect("is told which there are, how many backends each keeps and for how long yet, and which keeps each", () =>
    Effect.gen(function* () {
      const { frames } = yield* start
      const [snapshot] = yield* frames
      assert.deepStrictEqual(snapshot?.data.cluster, {
        processes: [
          { address: here, here: true, healthy: true, backends: 1, lease: 14_000 },
          { address: other, here: false, healthy: true, backends: 1, lease: 14_000 }
        ],
        margin: 13_000,
        silentSince: null
      })
      assert.deepStrictEqual(
        snapshot?.data.rows?.map(({ id, owner }) => [id, owner]),
        [
          ["one", here],
          ["two", other]
        ]
      )
    })
  )

  it.effect("sees a backend move, with a line and a mark that stay", () =>
    Effect.gen(function* () {
      const { frames, hub, script } = yield* start
      yield* frames
      script.processes = [process(here, ["one"])]
      yield* TestClock.adjust("3 seconds")
      script.processes = [process(here, ["one", "two"])]
      yield* TestClock.adjust("3 seconds")
      const told = yield* frames
      assert.deepStrictEqual(
        told.flatMap(({ data }) => data.log ?? []).map(({ backend, text }) => [backend, text]),
        [
          ["two", "No process keeps it now"],
          ["two", `Kept by ${here} now`]
        ]
      )
      assert.isTrue(told.some(({ data, event }) => event === "cluster" && data.cluster?.processes[0]?.backends === 2))
      const { backends } = yield* hub.status
      assert.deepStrictEqual(
        backends.map(({ id, marks, owner }) => [id, owner, marks.map(({ label }) => label)]),
        [
          ["one", here, []],
          ["two", here, [`Kept by ${here} now`]]
        ]
      )
    })
  )

  it.effect("is told since when the database is silent, and keeps what was seen last", () =>
    Effect.gen(function* () {
      const { frames, hub, script } = yield* start
      yield* frames
      script.isSilent = true
      yield* TestClock.adjust("5 seconds")
      const { at, backends, cluster } = yield* hub.status
      assert.strictEqual(cluster?.processes.length, 2)
      assert.strictEqual(cluster?.margin, 7_000)
      assert.isAtMost(cluster?.silentSince ?? Number.POSITIVE_INFINITY, at - 2_000)
      assert.deepStrictEqual(
        backends.map(({ owner }) => owner),
        [here, other]
      )
      script.isSilent = false
      assert.strictEqual((yield* hub.status).cluster?.silentSince, null)
      assert.deepStrictEqual(
        (yield* frames).flatMap(({ data }) => data.log ?? []),
        []
      )
    })
  )

  it.effect("hears nothing of a cluster where there is none", () =>
    Effect.gen(function* () {
      const { fleet } = yield* Fleets.make(["one"])
      const status = yield* (yield* Hub.make(fleet)).status
      assert.notProperty(status, "cluster")
      assert.notProperty(status.backends[0], "owner")
    })
  )
})
