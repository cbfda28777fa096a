/** A process that holds sessions of one kind over HTTP, idle, and nothing else: what it weighs more is theirs. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect, type Scope } from "effect"
import * as BareClient from "../BareClient.ts"
import * as Held from "../Held.ts"
import * as Program from "../Program.ts"
import * as Session from "../Session.ts"

/** What each session weighs. */
export type Report = Held.Weight

export type Kind = keyof typeof open

const count = 500
/** the first time of everything is over, and most of what will be compiled is */
const warm = 200
/** Longer than Node's `fetch` keeps a connection that nobody uses: 4 seconds. */
const idle = "6 seconds"

const open = {
  sdk: (url: string) => BareClient.http(url),
  connector: (url: string) => Session.open(HttpConnector.make({ url })),
  backend: (url: string, index: number) =>
    Effect.flatMap(
      Backend.make({ id: `idle-${index}`, connector: HttpConnector.make({ url }) }),
      (backend) => backend.awaitConnected
    )
} satisfies Record<string, (url: string, index: number) => Effect.Effect<unknown, unknown, Scope.Scope>>

const isKind = (name: string | undefined): name is Kind => name !== undefined && name in open

const report = Effect.gen(function* () {
  const [, , kind] = process.argv
  if (!isKind(kind)) return yield* Effect.die(`no kind of session: ${kind}`)
  const server = yield* ScriptedServer.make()
  const opened = (index: number): Effect.Effect<unknown, unknown, Scope.Scope> => open[kind](server.url, index)
  // one after the other, so that a pool of connections is left with one
  yield* Effect.scoped(Effect.forEach(Array.from({ length: warm }).keys(), opened, { discard: true }))
  const before = yield* Effect.promise(Held.weight)
  yield* Effect.forEach(Array.from({ length: count }).keys(), opened, { concurrency: 10, discard: true })
  yield* Effect.sleep(idle)
  const after = yield* Effect.promise(Held.weight)
  const { streams } = yield* server.stats
  if (streams !== count) return yield* Effect.die(`the server has ${streams} standing streams for ${count} sessions`)
  return Held.each(before, after, count) satisfies Report
})

await Program.main(report)
