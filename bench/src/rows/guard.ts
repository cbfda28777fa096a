/** What a call costs above the promise that it guards. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect } from "effect"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"

const times = 20_000

export const guard: Row = {
  name: "guard",
  title: "A call around a promise that is ready",
  unit: "ns",
  run: Effect.gen(function* () {
    const server = ScriptedServer.make()
    const backend = yield* Backend.make({ id: "guard", connector: server.connector })
    yield* backend.awaitConnected
    const ready = () => Promise.resolve(1)
    return yield* Rounds.interleave(
      [
        Rounds.promised("bare promise", times, ready),
        Rounds.effect("Effect.promise", times, Effect.promise(ready)),
        Rounds.effect("backend.use", times, Effect.orDie(backend.use(ready)))
      ],
      { rounds: 15, warmUp: 5 }
    )
  })
}
