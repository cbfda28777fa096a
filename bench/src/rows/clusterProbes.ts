/** What servers are asked by three processes that keep the same backends between them, beside one that keeps them all. */
import { Database, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import * as Clustered from "../Clustered.ts"
import type { Result, Row } from "../Row.ts"
import * as Spread from "../Spread.ts"

const count = 300
const interval = 2
/** How often the server is looked at, and how many seconds lie between. */
const looks = { rounds: 5, seconds: 2 }

/** Probes a second that the server was sent by so many processes. */
const probes = (processes: number): Effect.Effect<Result, unknown> =>
  Effect.gen(function* () {
    const server = yield* ScriptedServer.make({ answers: "json", getStream: false })
    const { port } = yield* Database.make
    const backends = Object.fromEntries(Array.from({ length: count }, (_, index) => [`backend-${index}`, server.url]))
    const common: Clustered.Common = { storage: port, backends, interval, lease: 15 }
    const asked = Effect.map(server.stats, ({ byRpcMethod, sessions }) => ({
      pings: byRpcMethod["ping"] ?? 0,
      sessions,
      at: performance.now()
    }))
    yield* Effect.all(
      Array.from({ length: processes }, () => Clustered.member(common)),
      { concurrency: "unbounded" }
    )
    // each has its share when sessions have come and gone, and as many are open as there are backends
    let before = yield* asked
    for (let same = 0; same < 20;) {
      yield* Effect.sleep("100 millis")
      const now = yield* asked
      same = now.sessions === count && before.sessions === count ? same + 1 : 0
      before = now
    }
    const rounds: Array<number> = []
    for (let left = looks.rounds; left > 0; left--) {
      const from = yield* asked
      yield* Effect.sleep(`${looks.seconds} seconds`)
      const to = yield* asked
      rounds.push(((to.pings - from.pings) * 1000) / (to.at - from.at))
    }
    return { name: processes === 1 ? "one process" : `${processes} processes`, rounds }
  }).pipe(Effect.scoped)

export const clusterProbes: Row = {
  name: "cluster-probes",
  title: `Probes of ${count} backends every ${interval} s, as their server counts them`,
  unit: "a second",
  run: Effect.gen(function* () {
    const one = yield* probes(1)
    const three = yield* probes(3)
    return {
      contestants: [one, three],
      limits: [
        {
          what: "probes of three processes beside those of one",
          found: Spread.of(three.rounds).median / Spread.of(one.rounds).median,
          most: 1.1,
          unit: "×",
          because: "each backend is kept, and so probed, by exactly one of them"
        }
      ]
    }
  })
}
