/** Whether a backend that is bad is felt by the calls of others: one that swallows all, one that takes 30 s, one that floods. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { Fault, FaultProxy, ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect, Fiber } from "effect"
import * as Heap from "../Heap.ts"
import * as Rounds from "../Rounds.ts"
import type { Contestant, Limit, Result, Row } from "../Row.ts"
import * as Spread from "../Spread.ts"

/** of each of the others, one after the other */
const calls = 60
const others = 4
/** what their server takes for one, in milliseconds: a tool that does something */
const takes = 20

const policy: KeepalivePolicy.Options = {
  interval: "1 second",
  timeout: "500 millis",
  connectTimeout: "1 second",
  maxConcurrent: 8,
  queue: 100
}

type Kept = Backend.Backend<Client>

const kept = (id: string, url: string, over: KeepalivePolicy.Options = {}) =>
  Effect.tap(
    Backend.make({ id, connector: HttpConnector.make({ url }), policy: { ...policy, ...over } }),
    (backend) => backend.awaitConnected
  )

const call = (backend: Kept, name: string, args: Record<string, unknown>, heard?: () => void) =>
  backend.use((client, signal) =>
    client.callTool({ name, arguments: args }, undefined, {
      signal,
      ...(heard === undefined ? {} : { onprogress: heard })
    })
  )

const many = <A>(count: number, each: () => A) => Array.from({ length: count }, each)

/** What a round told. */
interface Told {
  /** the 99th of a hundred calls, in milliseconds */
  readonly p99: number
  readonly median: number
  readonly failed: number
}

export const neighbours: Row = {
  name: "neighbours",
  title: `A tool call of ${takes} ms over HTTP, the 99th of a hundred, beside other backends of the same process`,
  unit: "ms",
  run: Effect.gen(function* () {
    const server = yield* ScriptedServer.make()
    const [still, slow, loud] = yield* Effect.all(many(3, () => ScriptedServer.make()))
    if (still === undefined || slow === undefined || loud === undefined) return yield* Effect.die("no servers")
    const proxy = yield* FaultProxy.make({ target: { port: still.port } })
    const well = yield* Effect.all(many(others, () => 0).map((_, index) => kept(`well-${index}`, server.url)))
    const hole = yield* kept("hole", `${proxy.url}/mcp`)
    const late = yield* kept("late", slow.url)
    const flood = yield* kept("flood", loud.url)
    yield* proxy.inject(Fault.SilentDrop())
    let heard = 0

    const swallowed = () => many(200, () => call(hole, "echo", { message: "x" }))
    const waiting = () => many(200, () => call(late, "slow", { ms: 30_000 }))
    const flooding = () => many(2, () => call(flood, "progress", { ms: 1000, everyMs: 1 }, () => void heard++))

    const contestant = (
      name: string,
      disturbing: () => ReadonlyArray<Effect.Effect<unknown, unknown>>
    ): Contestant<Told> => ({
      name,
      round: async () => {
        Heap.collectYoung()
        const disturbances = disturbing().map((each) => Effect.runFork(each))
        const took: Array<number> = []
        let failed = 0
        const caller = async (backend: Kept) => {
          for (let left = calls; left > 0; left--) {
            const began = performance.now()
            const exit = await Effect.runPromiseExit(call(backend, "slow", { ms: takes }))
            if (exit._tag === "Failure") failed++
            took.push(performance.now() - began)
          }
        }
        await Promise.all(well.map(caller))
        await Effect.runPromise(
          Effect.forEach(disturbances, Fiber.interrupt, { concurrency: "unbounded", discard: true })
        )
        return {
          p99: Spread.percentile(took, 99),
          median: Spread.of(took).median,
          failed
        }
      }
    })
    const results = yield* Effect.promise(() =>
      Rounds.turns(
        [
          contestant("alone", () => []),
          contestant("beside a black hole", swallowed),
          contestant("beside one that takes 30 s", waiting),
          contestant("beside one that floods", flooding),
          contestant("beside all three", () => [...swallowed(), ...waiting(), ...flooding()])
        ],
        { rounds: 9, warmUp: 3 }
      )
    )
    return {
      contestants: of(results, "p99"),
      also: [{ title: "The median of the same calls", unit: "ms", contestants: of(results, "median") }],
      limits: results.slice(1).flatMap((result) => [near(result, results), none(result)]),
      remarks: [`${heard.toLocaleString("en")} notifications were heard of the one that floods`]
    }
  })
}

const of = (results: ReadonlyArray<Result<Told>>, quantity: keyof Told): ReadonlyArray<Result> =>
  results.map(({ name, rounds }) => ({ name, rounds: rounds.map((told) => told[quantity]) }))

const near = ({ name, rounds }: Result<Told>, [alone]: ReadonlyArray<Result<Told>>): Limit => ({
  what: `the 99th of a hundred ${name}`,
  found: Spread.ratio(
    rounds.map(({ p99 }) => p99),
    alone?.rounds.map(({ p99 }) => p99) ?? []
  ).median,
  most: 1.1,
  unit: "×",
  because: "backends share nothing but the thread: neither a lock, nor a queue, nor a limit"
})

const none = ({ name, rounds }: Result<Told>): Limit => ({
  what: `calls that failed ${name}`,
  found: rounds.reduce((sum, { failed }) => sum + failed, 0),
  most: 0,
  because: "what is wrong with one server is nothing to the calls of another"
})
