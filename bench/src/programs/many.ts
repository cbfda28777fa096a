/** A process with 2,000 backends, each connected over HTTP: they are opened, asked, weighed and closed. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect, Exit, Scope } from "effect"
import * as Held from "../Held.ts"
import * as Program from "../Program.ts"

export interface Report {
  readonly count: number
  readonly connected: number
  readonly answered: number
  /** what each weighs */
  readonly each: Held.Weight
  /** when all are closed */
  readonly left: {
    readonly descriptors: number
    readonly sessions: number
    readonly streams: number
  }
  /** milliseconds for all */
  readonly took: { readonly open: number; readonly ping: number; readonly close: number }
}

const count = 2000
/** the first time of everything is over */
const warm = 20

const report = Effect.gen(function* () {
  // three for each and what Node has open itself
  Held.needDescriptors(3 * count + 200)
  const server = yield* ScriptedServer.make()
  const open = (index: number) =>
    Effect.tap(
      Backend.make({ id: `live-${index}`, connector: HttpConnector.make({ url: server.url }) }),
      (backend) => backend.awaitConnected
    )
  const openAll = (howMany: number) => Effect.forEach(Array.from({ length: howMany }).keys(), open, { concurrency: 50 })
  yield* Effect.scoped(openAll(warm))
  const before = yield* Effect.promise(Held.weight)

  const scope = yield* Scope.make()
  const [opening, backends] = yield* timed(Scope.provide(openAll(count), scope))
  const [pinging, answers] = yield* timed(
    Effect.forEach(backends, (backend) => Effect.exit(backend.use((client) => client.ping())), { concurrency: 100 })
  )
  const states = yield* Effect.forEach(backends, (backend) => backend.state)
  const each = Held.each(before, yield* Effect.promise(Held.weight), count)
  const [closing] = yield* timed(Scope.close(scope, Exit.void))
  const after = yield* Effect.promise(Held.atRest)
  const { sessions, streams } = yield* server.stats
  return {
    count,
    connected: states.filter(({ _tag }) => _tag === "Connected").length,
    answered: answers.filter(Exit.isSuccess).length,
    each,
    left: { descriptors: after.descriptors - before.descriptors, sessions, streams },
    took: { open: opening, ping: pinging, close: closing }
  } satisfies Report
})

/** With the milliseconds that it took. */
function timed<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [number, A], E, R> {
  return Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(effect, (result) => [performance.now() - began, result] as const)
  })
}

await Program.main(report)
