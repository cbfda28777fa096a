/** A process that holds one backend and nothing else, so that what is left in it is the backend's. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend, ConnectionState } from "@vmcp-keepalive/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { once } from "node:events"
import { setImmediate, setTimeout as sleep } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import { HttpConnector } from "../../src/index.ts"
import type { Command, Measure, Reply } from "./messages.ts"

const [url = "", measureFrom = "0"] = process.argv.slice(2)

const clients = new Set<WeakRef<Client>>()
const makeClient = () => {
  const client = new Client({ name: "leak", version: "0.0.0" })
  clients.add(new WeakRef(client))
  return client
}

const reply = (message: Reply) => Effect.sync(() => void process.send?.(message))
const command = Effect.promise(async (): Promise<Command> => (await once(process, "message"))[0])

const collect = async () => {
  for (let round = 0; round < 2; round++) {
    // what a WeakRef has been asked for lives until the end of the turn
    globalThis.gc?.()
    await setImmediate()
  }
  for (const client of clients) if (client.deref() === undefined) clients.delete(client)
}

const resourcesNow = () => {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo().toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** What is there once nothing has changed for a while: a timer between two runs of its fiber is not gone. */
const resourcesAtRest = async () => {
  let resources = resourcesNow()
  for (let same = 0; same < 3;) {
    await sleep(5)
    const now = resourcesNow()
    same = isDeepStrictEqual(now, resources) ? same + 1 : 0
    resources = now
  }
  return resources
}

const sizeOf = (client: Client, field: string): number => {
  const handlers: unknown = Reflect.get(client, field)
  if (!(handlers instanceof Map)) throw new Error(`the SDK's client has no map ${field} any more`)
  return handlers.size
}

const measure = Effect.fnUntraced(function* (backend: Backend.Backend<Client>) {
  yield* Effect.promise(collect)
  const state = yield* backend.state
  const resources = yield* Effect.promise(resourcesAtRest)
  const sizes = yield* backend.use((client) =>
    Promise.resolve([sizeOf(client, "_responseHandlers"), sizeOf(client, "_progressHandlers")] as const)
  )
  const result: Measure = {
    generation: state._tag === "Connected" ? state.generation : 0,
    heapUsed: process.memoryUsage().heapUsed,
    resources,
    handlers: sizes[0],
    progressHandlers: sizes[1],
    clients: clients.size
  }
  return result
})

const main = Effect.gen(function* () {
  const backend = yield* Backend.make({
    id: "leak",
    connector: HttpConnector.make({ url, client: makeClient }),
    policy: {
      // no probe in the middle of a measurement; those of an attempt and of a doubt are sent all the same
      interval: "1 hour",
      timeout: "2 seconds",
      confirmInterval: "10 millis",
      failureThreshold: 1,
      stableAfter: 0,
      backoff: { initial: "10 millis", factor: 2, cap: "20 millis" },
      circuit: "none"
    }
  })
  const until = (predicate: (state: ConnectionState.ConnectionState) => boolean) =>
    backend.changes.pipe(Stream.filter(predicate), Stream.runHead)
  let inFlight: Fiber.Fiber<string> | undefined
  let generation = 0

  yield* until((state) => state._tag === "Connected")
  yield* reply({ _tag: "Ready" })
  while (true) {
    const { _tag, cycle } = yield* command
    switch (_tag) {
      case "Prepare": {
        const state = yield* backend.state
        generation = state._tag === "Connected" ? state.generation : generation
        // every other session dies idle, the others while they work
        if (cycle % 2 === 1) {
          const begun = yield* Deferred.make<void>()
          inFlight = yield* backend
            .use((client, signal) =>
              client.callTool({ name: "progress", arguments: { ms: 60_000, everyMs: 5 } }, undefined, {
                signal,
                onprogress: () => Deferred.doneUnsafe(begun, Effect.void)
              })
            )
            .pipe(
              Effect.match({ onFailure: (error) => error._tag, onSuccess: () => "answered" }),
              Effect.forkChild({ startImmediately: true })
            )
          yield* Deferred.await(begun)
        }
        yield* reply({ _tag: "Prepared" })
        break
      }
      case "Notice": {
        yield* until((state) => ConnectionState.admission(state) !== "run")
        const outcome = inFlight === undefined ? "idle" : yield* Fiber.join(inFlight)
        inFlight = undefined
        yield* reply({ _tag: "Noticed", outcome })
        break
      }
      case "Recover": {
        yield* until((state) => state._tag === "Connected" && state.generation > generation)
        yield* backend.use((client, signal) =>
          client.callTool({ name: "echo", arguments: { message: `${cycle}` } }, undefined, { signal })
        )
        yield* reply({ _tag: "Recovered", measure: cycle < Number(measureFrom) ? undefined : yield* measure(backend) })
      }
    }
  }
})

process.on("disconnect", () => process.exit())
await Effect.runPromise(Effect.scoped(main))
