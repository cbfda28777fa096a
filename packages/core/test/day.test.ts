/** A day of many backends, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Backend } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const backends = 1000
const interval = Duration.minutes(5)
const day = Duration.hours(24)

describe("1,000 backends over 24 hours", () => {
  // CPU and not time, most of which is others' on a busy machine. It takes 5 s on one that is not, where it must stay below 10.
  it.effect(
    "are each probed as often as the cadence says, none dies, and it costs seconds of CPU",
    () =>
      Effect.gen(function* () {
        const servers = Array.from({ length: backends }, () => ScriptedServer.make())
        const made = yield* Effect.forEach(servers, ({ connector }, nth) =>
          Backend.make({ id: `server ${nth}`, connector, policy: { interval, probe: "ping" } })
        )
        yield* Effect.forEach(made, (backend) => backend.awaitConnected)
        const before = process.cpuUsage()
        yield* TestClock.adjust(day)
        const { system, user } = process.cpuUsage(before)

        // ±10 %, drawn anew for each probe
        const fewest = Math.floor(Duration.toMillis(day) / (Duration.toMillis(interval) * 1.1))
        const most = Math.ceil(Duration.toMillis(day) / (Duration.toMillis(interval) * 0.9))
        const probes = servers.map(({ counts }) => counts.probes)
        assert.isAtLeast(Math.min(...probes), fewest)
        assert.isAtMost(Math.max(...probes), most)
        // Draws of a day even out: on average one comes every interval.
        const expected = Duration.toMillis(day) / Duration.toMillis(interval)
        const mean = probes.reduce((sum, count) => sum + count, 0) / backends
        assert.closeTo(mean, expected, expected * 0.02)

        for (const { counts } of servers) assert.deepInclude(counts, { attempts: 1, open: 1, concurrent: 1 })
        for (const backend of made) assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 1 })
        assert.isBelow((user + system) / 1e6, 20)
      }),
    120_000
  )
})
