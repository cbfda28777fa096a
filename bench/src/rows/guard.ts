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
    // it names the client, as callbacks do: one that takes no parameter may take them all, and costs a controller for its signal
    const ready = (_client: unknown) => Promise.resolve(1)
    const bare = () => ready(undefined)
    return yield* Rounds.interleave(
      [
        Rounds.promised("bare promise", times, bare),
        Rounds.effect("Effect.promise", times, Effect.promise(bare)),
        Rounds.effect("backend.use", times, Effect.orDie(backend.use(ready)))
      ],
      { rounds: 15, warmUp: 5 }
    )
  })
}
