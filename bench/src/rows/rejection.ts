/** What it costs to be told at once that a backend is known to be bad. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect, Stream } from "effect"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"

const times = 2000

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
    return yield* Rounds.interleave(
      [
        Rounds.effect("Effect.fail", times, Effect.flip(Effect.fail("rejected"))),
        Rounds.effect(
          "Effect.fail with an Error made for it",
          times,
          Effect.flip(Effect.suspend(() => Effect.fail(new Rejected("rejected"))))
        ),
        Rounds.effect("backend.use, circuit open", times, Effect.orDie(Effect.flip(backend.use(ready))))
      ],
      { rounds: 11, warmUp: 3 }
    )
  })
}
