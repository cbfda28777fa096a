/** Many sessions under one connection of a host. */
import { assert, describe, it } from "@effect/vitest"
import { ProcessGroups, ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { Effect, Schedule } from "effect"
import { getEventListeners } from "node:events"
import { setImmediate as macrotask } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { keepAlive } from "../src/index.ts"
import { hello } from "./support.ts"

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")

const measure = async (signal: AbortSignal) => {
  for (let round = 0; round < 4; round++) {
    gc()
    await macrotask()
  }
  return {
    heap: process.memoryUsage().heapUsed,
    descriptors: ProcessGroups.openFds(),
    listeners: getEventListeners(signal, "abort").length
  }
}

describe("1,000 sessions under one connection of a host", () => {
  it(
    "leave heap, descriptors and listeners as they were, and the host hears of list changes only",
    { timeout: 120_000 },
    () =>
      Effect.runPromise(
        Effect.gen(function* () {
          const server = yield* ScriptedServer.make({ staleSession: 404 })
          yield* Effect.promise(async () => {
            const connector = HttpPeerConnector.make({ url: server.url })
            // A server that flaps would be spared, and a refusal that takes long on a busy machine be no refusal.
            const policy = {
              interval: "30 seconds",
              timeout: "10 seconds",
              backoff: Schedule.spaced("1 millis"),
              circuit: "none",
              replayBudget: "none"
            } as const
            const kept = keepAlive({ id: "many", connector, policy })
            const { signal } = new AbortController()
            const answers = new Map<number, (answer: { readonly result?: unknown; readonly error?: unknown }) => void>()
            const told = new Set<string>()
            let closes = 0
            kept.onclose = () => closes++
            kept.onmessage = (message) => {
              if ("method" in message) told.add(message.method)
              else answers.get(message.id)?.(message)
            }
            let ids = 0
            const ask = (method: string, params: object) => {
              const id = ids++
              const answer = new Promise<{ readonly result?: unknown; readonly error?: unknown }>((resolve) => {
                answers.set(id, (answer) => {
                  answers.delete(id)
                  resolve(answer)
                })
              })
              void kept.send({ jsonrpc: "2.0", id, method, params }, { signal })
              return answer
            }
            await kept.start()
            assert.property(await ask("initialize", hello), "result")
            await kept.send({ jsonrpc: "2.0", method: "notifications/initialized" })

            let sessions = 1
            let lastGeneration = 1
            kept.on("change", (state) => {
              if (state._tag !== "Connected" || state.generation === lastGeneration) return
              lastGeneration = state.generation
              sessions++
            })
            const change = async (round: number) => {
              // a planned replacement, and a server that has forgotten its sessions
              if (round % 2 === 0) await kept.reconnect()
              else await Effect.runPromise(server.control(ScriptedServer.Control.ExpireSessions()))
              const { name, arguments: args } = server.echo(`call ${round}`)
              const answer = await ask("tools/call", { name, arguments: args })
              assert.property(answer, "result", JSON.stringify(answer))
            }
            // what the compiler keeps of code that has become hot grows at first
            for (let round = 0; round < 500; round++) await change(round)
            const before = await measure(signal)
            for (let round = 500; round < 1000; round++) await change(round)
            // sockets of the last sessions may be on their way out
            while (ProcessGroups.openFds() > before.descriptors + 2) await macrotask()
            const after = await measure(signal)

            assert.isAtLeast(sessions, 1000)
            assert.strictEqual(closes, 0)
            assert.deepStrictEqual([...told], ["notifications/tools/list_changed"])
            assert.strictEqual(after.listeners, 0)
            assert.strictEqual(answers.size, 0)
            assert.isAtMost(after.descriptors, before.descriptors + 2)
            assert.isAtMost(after.heap - before.heap, 500 * 4096, "more than 4 KB of heap a session, which has 20")
            await kept.close()
          })
          const executions = yield* server.executions
          assert.strictEqual(executions.length, 1000, "each call was executed once")
        }).pipe(Effect.scoped)
      )
  )
})
