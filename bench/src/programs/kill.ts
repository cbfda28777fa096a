/** A process with 2,000 calls in flight over HTTP whose server is killed: how long until the last of them has settled. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect, Exit, type Scope } from "effect"
import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import * as Held from "../Held.ts"
import * as Program from "../Program.ts"
import * as RawClient from "../RawClient.ts"
import * as Rounds from "../Rounds.ts"
import type { Contestant, Result } from "../Row.ts"

/** What a kill did. */
export interface Killed {
  /** milliseconds, from when this process saw the first sign of it to the end of the last call */
  readonly last: number
  /** milliseconds, from the signal to the first sign */
  readonly seen: number
  /** calls that the server had begun */
  readonly executing: number
  /** how the calls ended */
  readonly ends: Readonly<Record<string, number>>
}

export type Report = ReadonlyArray<Result<Killed>>

const calls = 2000
/** so few that the server's queue of new connections (511) does not overflow, which costs a second */
const atOnce = 200

/** Makes one of the calls; resolves with how it ended. */
type Call = (index: number) => Promise<string>

const inFlight = (
  name: string,
  connectTo: (url: string) => Effect.Effect<Call, unknown, Scope.Scope>
): Contestant<Killed> => ({
  name,
  round: () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const call = yield* connectTo(server.url)
      const executing = () =>
        Effect.runPromise(Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["tools/call"] ?? 0))
      const pid = yield* server.pid
      return yield* Effect.promise(() => kill(new URL(server.url), pid, call, executing))
    }).pipe(Effect.scoped, Effect.runPromise)
})

const kill = async (url: URL, pid: number, call: Call, executing: () => Promise<number>): Promise<Killed> => {
  const mark = connect(Number(url.port), url.hostname).resume()
  await once(mark, "connect")
  // a killed process may end its connections with a reset
  mark.on("error", () => {})
  let first = Number.POSITIVE_INFINITY
  let last = 0
  const settled = () => {
    last = performance.now()
    first = Math.min(first, last)
  }
  mark.on("close", () => {
    first = Math.min(first, performance.now())
  })
  const ends: Record<string, number> = {}
  const all: Array<Promise<void>> = []
  const begin = async () => {
    const end = await call(all.length)
    settled()
    ends[end] = (ends[end] ?? 0) + 1
  }
  while (all.length < calls) {
    for (let left = atOnce; left > 0; left--) all.push(begin())
    // the server's loop has turned, and accepted what was waiting
    for (let turns = 3; turns > 0; turns--) await executing()
  }
  const begun = await steady(executing)
  const at = performance.now()
  process.kill(pid, "SIGKILL")
  await Promise.all(all)
  return { last: last - first, seen: first - at, executing: begun, ends }
}

/** What a count of calls has come to: all of them, or as many as a session sends at once while the others wait. */
const steady = async (count: () => Promise<number>): Promise<number> => {
  let found = 0
  for (let same = 0; same < 30 && found < calls;) {
    await sleep(50)
    const now = await count()
    same = now === found && now > 0 ? same + 1 : 0
    found = now
  }
  return found
}

/** So many backends with as many calls each. */
const backends = (count: number) =>
  Effect.fnUntraced(function* (url: string) {
    const made = yield* Effect.forEach(Array.from({ length: count }).keys(), (index) =>
      Effect.tap(
        Backend.make({
          id: `kill-${index}`,
          connector: HttpConnector.make({ url }),
          policy: {
            interval: "1 hour",
            // a call that was not sent is told so at once, where it would wait for the next session
            waitForSession: 0
          }
        }),
        (backend) => backend.awaitConnected
      )
    )
    const call: Call = async (index) => {
      const exit = await Effect.runPromise(Effect.exit(Effect.flip(made[index % count]?.use(slow) ?? Effect.void)))
      return Exit.isSuccess(exit) ? (exit.value?._tag ?? "none") : "an answer"
    }
    return call
  })

const slow = (client: Client) => client.callTool({ name: "slow", arguments: { ms: 60_000 } })

const raw = (url: string) =>
  Effect.map(
    RawClient.make(url),
    ({ callTool }): Call =>
      () =>
        callTool("slow", { ms: 60_000 }).then(
          () => "an answer",
          () => "an error"
        )
  )

const report = Effect.promise((): Promise<Report> => {
  // one for each call, three for each backend, and what Node has open itself
  Held.needDescriptors(calls + 3 * 40 + 200)
  return Rounds.turns(
    [
      inFlight("JSON-RPC over undici's dispatch, 2,000 calls", raw),
      inFlight("40 backends, 50 calls each", backends(40)),
      inFlight("1 backend, 2,000 calls", backends(1))
    ],
    { rounds: 3, warmUp: 1 }
  )
})

await Program.main(report)
