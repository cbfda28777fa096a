/** A storage, servers, and replicas that come and go, each a process of its own. */
import { Effect, Schedule, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import * as Farm from "./farm.ts"
import type { Answer, Configuration, Question, ReplicaOptions } from "./protocol.ts"

const programs = fileURLToPath(new URL("../programs/", import.meta.url))

export const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const exited = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** A program that has said that it is ready, and is killed with the scope. */
const started = (name: string, argument: string) =>
  Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const child = fork(`${programs}${name}.ts`, [argument], { execArgv: [] })
      child.once("exit", (code, signal) => resume(Effect.die(new Error(`${name} ended: ${code ?? signal}`))))
      child.once("message", () => resume(Effect.succeed(child)))
    }),
    (child) =>
      Effect.suspend(() => {
        // in order, so that nothing of it is in the way of what comes next
        child.kill("SIGTERM")
        return Effect.timeoutOrElse(exited(child), {
          duration: "8 seconds",
          orElse: () =>
            Effect.andThen(
              Effect.sync(() => child.kill("SIGKILL")),
              exited(child)
            )
        })
      })
  )

export interface Replica {
  readonly address: string
  readonly ask: (question: Question) => Effect.Effect<unknown, string>
  readonly signal: (signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
  readonly exited: Effect.Effect<void>
}

export interface World {
  readonly farm: Farm.Farm
  readonly ids: ReadonlyArray<string>
  /** their URLs, by their ids */
  readonly backends: { readonly [id: string]: string }
  readonly replica: Effect.Effect<Replica, never, Scope.Scope>
  /** the owners that a replica sees, by the ids of the backends, of those that are connected */
  readonly owners: (replica: Replica) => Effect.Effect<ReadonlyMap<string, string>, string>
}

export interface Storage {
  readonly port: number
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
}

/** A database in a process of its own. */
export const storage: Effect.Effect<Storage, never, Scope.Scope> = Effect.gen(function* () {
  const port = yield* freePort
  const child = yield* started("storage", String(port))
  return { port, signal: (signal) => Effect.sync(() => void child.kill(signal)) }
})

export const make = (options: {
  readonly options?: ReplicaOptions
  readonly storage: Storage
  /** how many the farm has, or the URLs of others by their ids */
  readonly backends: number | { readonly [id: string]: string }
  readonly lease: number
}): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const farm = yield* Farm.make
    const { storage, ...given } = options
    const count = typeof options.backends === "number" ? options.backends : 0
    const ofFarm = Array.from({ length: count }, (_, index) => `backend-${index}`)
    const backends =
      typeof options.backends === "number"
        ? Object.fromEntries(ofFarm.map((id) => [id, farm.url(id)]))
        : options.backends
    const ids = Object.keys(backends)

    const replica = Effect.gen(function* () {
      const address = `127.0.0.1:${yield* freePort}`
      const configuration: Configuration = { ...given, address, storage: storage.port, backends }
      const child = yield* started("replica", JSON.stringify(configuration))
      const waiting = new Map<number, (answer: Answer) => void>()
      child.on("message", (answer: Answer) => waiting.get(answer.n)?.(answer))
      let asked = 0
      return {
        address,
        exited: exited(child),
        signal: (signal) => Effect.sync(() => void child.kill(signal)),
        ask: (question) =>
          Effect.callback<unknown, string>((resume) => {
            const n = ++asked
            waiting.set(n, ({ error, ok }) => {
              waiting.delete(n)
              resume(error === undefined ? Effect.succeed(ok) : Effect.fail(error))
            })
            child.send({ n, question })
          })
      } satisfies Replica
    })
    return {
      farm,
      ids,
      backends,
      replica,
      owners: (from) =>
        Effect.map(from.ask({ ask: "states" }), (states) => {
          const all = states as ReadonlyArray<readonly [string, string | null, string | null]>
          return new Map(
            all.flatMap(([id, owner, state]) => (owner !== null && state === "Connected" ? [[id, owner]] : []))
          )
        })
    }
  })

/** Looks until it holds. */
export const until = <A, E>(what: string, look: Effect.Effect<A, E>, holds: (found: A) => boolean, within = 20_000) =>
  look.pipe(
    Effect.flatMap((found) => (holds(found) ? Effect.succeed(found) : Effect.fail("not yet" as const))),
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.timeoutOrElse({
      duration: within,
      orElse: () =>
        Effect.flatMap(Effect.exit(look), (last) => Effect.die(new Error(`${what}: ${JSON.stringify(last)}`)))
    })
  )
