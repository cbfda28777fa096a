/** How soon a call in flight is told that its server, a child process, was killed. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Effect, Exit, Scope } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import * as BareChild from "../BareChild.ts"
import * as BareClient from "../BareClient.ts"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"
import * as StdioBackend from "../StdioBackend.ts"

export const stdioDetection: Row = {
  name: "stdio-detection",
  title: "From SIGKILL of the server to the end of a call in flight (stdio)",
  unit: "ms",
  run: Effect.gen(function* () {
    const { backend, next, pid, server } = yield* StdioBackend.make("stdio-detection")
    return yield* Rounds.interleave(
      [
        {
          name: "exit of a bare child_process",
          round: async () => {
            const child = await BareChild.startAndAsk(server)
            await sleep(underWay)
            return Rounds.elapsed(() => BareChild.kill(child))
          }
        },
        {
          name: "backend.use",
          round: async () => {
            const group = await Effect.runPromise(pid)
            const error = Effect.runPromise(Effect.flip(backend.use(slow)))
            await sleep(underWay)
            const took = await killed(group, error)
            const { _tag } = await error
            if (_tag !== "OutcomeUnknown") throw new Error(`the call ended with ${_tag}`)
            await Effect.runPromise(next)
            return took
          }
        },
        {
          name: "SDK client.callTool",
          round: async () => {
            const scope = await Effect.runPromise(Scope.make())
            const bare = await Effect.runPromise(Scope.provide(BareClient.stdio(server), scope))
            const ended = slow(bare.client).catch(() => {})
            await sleep(underWay)
            const took = await killed(bare.pid, ended)
            await Effect.runPromise(Scope.close(scope, Exit.void))
            return took
          }
        }
      ],
      { rounds: 15, warmUp: 3 }
    )
  })
}

/** until the call has reached the server, in milliseconds */
const underWay = 50

const slow = (client: Client) =>
  client.callTool({ name: "slow", arguments: { ms: 60_000 } }, undefined, { timeout: 120_000 })

const killed = (pid: number, ended: PromiseLike<unknown>) =>
  Rounds.elapsed(() => {
    process.kill(pid, "SIGKILL")
    return ended
  })
