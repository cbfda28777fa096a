/** A process that holds many of a kind, in memory, and nothing else: what each costs to make, to hold, to keep and to close. */
import { Backend } from "@vmcp-keepalive/core"
import { Effect, Exit, Scope } from "effect"
import * as Breakers from "../Breakers.ts"
import * as Heap from "../Heap.ts"
import { InstantServer } from "../InstantServer.ts"
import * as Program from "../Program.ts"
import * as Session from "../Session.ts"

export interface Report {
  /** CPU to make one, in microseconds */
  readonly made: number
  /** bytes that one holds */
  readonly heap: number
  /** CPU for the keeping of all of them over whole intervals, in microseconds, and how many probes there were meanwhile */
  readonly kept: { readonly cpu: number; readonly seconds: number; readonly probes: number }
  /** milliseconds in which all of them were closed */
  readonly closed: number
}

const servers: Array<InstantServer> = []

const serverOf = () => {
  const server = new InstantServer()
  servers.push(server)
  return server
}

const makers = (interval: number) => {
  // one for all, as an app has one
  const policy = { interval: `${interval} seconds` } as const
  return {
    backend: (index: number) =>
      Effect.flatMap(
        Backend.make({
          id: `kept-${index}`,
          connector: serverOf(),
          policy
        }),
        (backend) => backend.awaitConnected
      ),
    session: () => Session.hold(serverOf()),
    cockatiel: () => Effect.sync(() => held.push(Breakers.cockatiel())),
    opossum: () =>
      Effect.acquireRelease(
        Effect.sync(() => Breakers.opossum(() => Promise.resolve(1))),
        (breaker) => Effect.sync(() => breaker.shutdown())
      )
  } satisfies Record<string, (index: number) => Effect.Effect<unknown, unknown, Scope.Scope>>
}

/** what nothing else holds */
const held: Array<unknown> = []

export type Kind = keyof ReturnType<typeof makers>

const cpuSince = (before: NodeJS.CpuUsage) => {
  const { system, user } = process.cpuUsage(before)
  return user + system
}

const probes = () => servers.reduce((sum, server) => sum + server.probes, 0)

const report = Effect.gen(function* () {
  const [, , kind, size, seconds] = process.argv
  const count = Number(size)
  const interval = Number(seconds)
  const known = makers(interval)
  if (kind === undefined || !(kind in known)) return yield* Effect.die(`no kind: ${kind}`)
  const make: (index: number) => Effect.Effect<unknown, unknown, Scope.Scope> = known[kind as Kind]
  const many = (number: number, scope: Scope.Scope) =>
    Scope.provide(
      Effect.forEach(Array.from({ length: number }).keys(), make, { concurrency: 64, discard: true }),
      scope
    )

  // the first time of everything is over
  const warm = yield* Scope.make()
  yield* many(500, warm)
  yield* Scope.close(warm, Exit.void)
  servers.length = 0
  held.length = 0

  const scope = yield* Scope.make()
  const before = yield* Effect.promise(Heap.used)
  const making = process.cpuUsage()
  yield* many(count, scope)
  const made = cpuSince(making) / count
  const heap = ((yield* Effect.promise(Heap.used)) - before) / count

  // whole intervals, after the first, which is shorter
  yield* Effect.sleep(`${interval} seconds`)
  const probed = probes()
  const keeping = process.cpuUsage()
  yield* Effect.sleep(`${2 * interval} seconds`)
  const kept = { cpu: cpuSince(keeping), seconds: 2 * interval, probes: probes() - probed }

  const closing = performance.now()
  yield* Scope.close(scope, Exit.void)
  return { made, heap, kept, closed: performance.now() - closing } satisfies Report
})

await Program.main(report)
