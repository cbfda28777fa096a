/** A storage, servers, and replicas that come and go, each a process of its own. */
import { Effect, Schedule, type Scope } from "effect"
import * as Farm from "./farm.ts"
import { exited, freePort, started } from "./process.ts"
import type { Answer, Configuration, Question, ReplicaOptions } from "./protocol.ts"
import type { Storage } from "./storage.ts"

export { freePort } from "./process.ts"
export { pglite as storage, type Storage } from "./storage.ts"

/**
 * Into how many shards the backends of a test are divided. The engine gives each process the same number of them, and puts a backend into one by its
 * id: with 6, each of two processes has some of a dozen backends, whatever their addresses are. With 300 one is left without any by chance, of six
 * backends once in 32 times.
 */
export const fewShards = 6

/** What a question fails with whose replica has ended, and did not answer it. */
export const gone = "gone"

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

export const make = (options: {
  readonly options?: ReplicaOptions
  readonly storage: Storage
  readonly backends: number
  readonly lease: number
  /** Node's own options for the replicas */
  readonly node?: ReadonlyArray<string>
  /** servers of a test's own, beside those of the farm */
  readonly servers?: Partial<Pick<Configuration, "backends" | "commands">>
}): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const farm = yield* Farm.make
    const { node, options: ofReplicas, servers = {}, storage, ...given } = options
    const { backends: urls = {}, commands = {} } = servers
    const count = typeof options.backends === "number" ? options.backends : 0
    const ofFarm = Array.from({ length: count }, (_, index) => `backend-${index}`)
    const farmed =
      typeof options.backends === "number"
        ? Object.fromEntries(ofFarm.map((id) => [id, farm.url(id)]))
        : options.backends
    const backends = { ...farmed, ...urls }
    const ids = [...Object.keys(backends), ...Object.keys(commands)]

    const replica = Effect.gen(function* () {
      const address = `127.0.0.1:${yield* freePort}`
      const settings = { shards: fewShards, ...ofReplicas }
      const configuration: Configuration = {
        ...given,
        options: settings,
        address,
        storage: storage.port,
        backends,
        commands
      }
      const child = yield* started("replica", [JSON.stringify(configuration)], node)
      const waiting = new Map<number, (answer: Answer) => void>()
      child.on("message", (answer: Answer) => waiting.get(answer.n)?.(answer))
      // Nobody is told anything any more by a process that has ended.
      child.once("disconnect", () => {
        for (const [n, answer] of waiting) answer({ n, error: gone })
      })
      let asked = 0
      return {
        address,
        exited: exited(child),
        signal: (signal) => Effect.sync(() => void child.kill(signal)),
        ask: (question) =>
          Effect.callback<unknown, string>((resume) => {
            if (!child.connected) return resume(Effect.fail(gone))
            const n = ++asked
            waiting.set(n, ({ error, ok }) => {
              waiting.delete(n)
              resume(error === undefined ? Effect.succeed(ok) : Effect.fail(error))
            })
            child.send({ n, question }, () => {})
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

const written = (found: unknown) =>
  JSON.stringify(found, (_, value: unknown) => (value instanceof Map || value instanceof Set ? [...value] : value))

/** Looks until it holds. */
export const until = <A, E>(what: string, look: Effect.Effect<A, E>, holds: (found: A) => boolean, within = 20_000) =>
  look.pipe(
    Effect.flatMap((found) => (holds(found) ? Effect.succeed(found) : Effect.fail("not yet" as const))),
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.timeoutOrElse({
      duration: within,
      orElse: () => Effect.flatMap(Effect.exit(look), (last) => Effect.die(new Error(`${what}: ${written(last)}`)))
    })
  )
