/** What it costs to be told at once that a backend is known to be bad, beside the circuit breakers of others. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect, Stream } from "effect"
import * as Breakers from "../Breakers.ts"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"
import * as Spread from "../Spread.ts"

const times = 10_000

const ours = "backend.use, circuit open"

class Rejected extends Error {}

export const rejection: Row = {
  name: "rejection",
  title: "A call that an open circuit rejects",
  unit: "ns",
  run: Effect.gen(function* () {
    const server = ScriptedServer.make()
    server.script.connect = ScriptedServer.unreachable()
    const backend = yield* Backend.make({
      id: "rejection",
      connector: server.connector,
      policy: { circuit: { failures: 1, openFor: "1 hour" } }
    })
    yield* backend.changes.pipe(
      Stream.filter(({ _tag }) => _tag === "CircuitOpen"),
      Stream.runHead
    )
    const ready = () => Promise.resolve(1)
    const cockatiel = yield* Breakers.cockatielOpen
    const opossum = yield* Breakers.opossumOpen
    const breaker = yield* Breakers.effect
    const open = breaker.execute(Effect.fail("down"), { key: "rejection" })
    yield* Effect.exit(open)
    const refused = (call: () => Promise<unknown>) => () => call().catch(() => {})
    const measured = yield* Rounds.interleave(
      [
        Rounds.effect("Effect.fail", times, Effect.flip(Effect.fail("rejected"))),
        Rounds.effect(
          "Effect.fail with an Error made for it",
          times,
          Effect.flip(Effect.suspend(() => Effect.fail(new Rejected("rejected"))))
        ),
        Rounds.effect(ours, times, Effect.orDie(Effect.flip(backend.use(ready)))),
        Rounds.promised(
          "cockatiel's circuitBreaker.execute",
          times,
          refused(() => cockatiel.execute(ready))
        ),
        Rounds.promised(
          "opossum's fire",
          times,
          refused(() => opossum.fire())
        ),
        Rounds.effect("Effect's CircuitBreaker.execute", times / 10, Effect.exit(open))
      ],
      { rounds: 15, warmUp: 5 }
    )
    return {
      ...measured,
      limits: [
        {
          what: `${ours}, in its least disturbed round`,
          found: Spread.of(measured.contestants.find(({ name }) => name === ours)?.rounds ?? []).min,
          most: 1500,
          unit: "ns",
          because: "a rejection captures no stack, and builds no more than its error"
        }
      ]
    }
  })
}
