/** What a call costs above the promise that it guards, beside the circuit breakers of others. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect } from "effect"
import * as Breakers from "../Breakers.ts"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"
import * as Spread from "../Spread.ts"

const times = 20_000

const ours = "backend.use"

export const guard: Row = {
  name: "guard",
  title: "A call around a promise that is ready",
  unit: "ns",
  run: Effect.gen(function* () {
    const server = ScriptedServer.make()
    const backend = yield* Backend.make({ id: "guard", connector: server.connector })
    yield* backend.awaitConnected
    // it names the client, as callbacks do: one that takes no parameter may take them all, and costs a controller for its signal
    const ready = (_client: unknown) => Promise.resolve(1)
    const bare = () => ready(undefined)
    const cockatiel = Breakers.cockatiel()
    const opossum = yield* Effect.acquireRelease(
      Effect.sync(() => Breakers.opossum(bare)),
      (breaker) => Effect.sync(() => breaker.shutdown())
    )
    const breaker = yield* Breakers.effect
    const measured = yield* Rounds.interleave(
      [
        Rounds.promised("bare promise", times, bare),
        Rounds.effect("Effect.promise", times, Effect.promise(bare)),
        Rounds.effect(ours, times, Effect.orDie(backend.use(ready))),
        Rounds.promised("cockatiel's circuitBreaker.execute", times, () => cockatiel.execute(bare)),
        Rounds.promised("opossum's fire", times, () => opossum.fire()),
        Rounds.effect(
          "Effect's CircuitBreaker.execute",
          times / 10,
          Effect.orDie(breaker.execute(Effect.promise(bare), { key: "guard" }))
        )
      ],
      { rounds: 15, warmUp: 5 }
    )
    return {
      ...measured,
      limits: [
        {
          what: `${ours}, in its least disturbed round`,
          found: Spread.of(measured.contestants.find(({ name }) => name === ours)?.rounds ?? []).min,
          most: 700,
          unit: "ns",
          because: "a healthy call is one asynchronous step, and allocates what it needs"
        }
      ]
    }
  })
}
