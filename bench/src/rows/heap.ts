/** What a backend holds while nothing happens. Needs `--expose-gc`. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect, Exit, Scope } from "effect"
import * as Heap from "../Heap.ts"
import * as Rounds from "../Rounds.ts"
import type { Contestant, Row } from "../Row.ts"
import * as Session from "../Session.ts"

const count = 10_000

export const heap: Row = {
  name: "heap",
  title: `Heap of each of ${count.toLocaleString("en")} that idle`,
  unit: "B",
  run: Rounds.interleave(
    [
      holding("fiber that sleeps", () => Effect.forkScoped(Effect.sleep("1 hour"))),
      holding("session of the scripted server, without a backend", () => Session.open(ScriptedServer.make().connector)),
      holding("backend on such a session, connected and probed", (index) =>
        Effect.tap(
          Backend.make({ id: `idle-${index}`, connector: ScriptedServer.make().connector }),
          (backend) => backend.awaitConnected
        )
      )
    ],
    { rounds: 2, warmUp: 0 }
  )
}

function holding(name: string, make: (index: number) => Effect.Effect<unknown, unknown, Scope.Scope>): Contestant {
  return {
    name,
    round: async () => {
      const scope = await Effect.runPromise(Scope.make())
      const before = await Heap.used()
      const held = await Effect.runPromise(
        Scope.provide(Effect.forEach(Array.from({ length: count }).keys(), make, { concurrency: 1000 }), scope)
      )
      const after = await Heap.used()
      await Effect.runPromise(Scope.close(scope, Exit.void))
      return (after - before) / held.length
    }
  }
}
