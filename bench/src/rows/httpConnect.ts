/** What it takes to open a session over HTTP: handshake and standing stream. */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect, Exit, Scope } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import * as BareClient from "../BareClient.ts"
import * as Heap from "../Heap.ts"
import * as Rounds from "../Rounds.ts"
import type { Contestant, Row } from "../Row.ts"
import * as Session from "../Session.ts"
import * as Spread from "../Spread.ts"

/** so many in a round that looking for their standing streams does not count */
const times = 25

export const httpConnect: Row = {
  name: "http-connect",
  title: "A session is opened over HTTP, one after the other, until the server has all their standing streams",
  unit: "µs",
  run: Effect.gen(function* () {
    const server = yield* ScriptedServer.make()
    const streams = () => Effect.runPromise(Effect.map(server.stats, (stats) => stats.streams))
    const { contestants } = yield* Rounds.interleave(
      [
        opening("SDK client.connect", streams, () => BareClient.http(server.url)),
        opening("connector.open", streams, () => Session.open(HttpConnector.make({ url: server.url }))),
        opening("Backend.make and awaitConnected", streams, (index) =>
          Effect.flatMap(
            Backend.make({ id: `connect-${index}`, connector: HttpConnector.make({ url: server.url }) }),
            (backend) => backend.awaitConnected
          )
        )
      ],
      { rounds: 15, warmUp: 5 }
    )
    const [sdk, connector] = contestants
    return {
      contestants,
      limits: [
        {
          what: "connector.open beside SDK client.connect",
          found: Spread.ratio(connector?.rounds ?? [], sdk?.rounds ?? []).median,
          most: 1,
          unit: "×",
          because: "the requests are the same three"
        }
      ]
    }
  })
}

function opening(
  name: string,
  streams: () => Promise<number>,
  open: (index: number) => Effect.Effect<unknown, unknown, Scope.Scope>
): Contestant {
  const awaitStreams = async (count: number) => {
    while ((await streams()) !== count) await sleep(1)
  }
  return {
    name,
    round: async () => {
      Heap.collectYoung()
      const scope = await Effect.runPromise(Scope.make())
      const indices = Array.from({ length: times }).keys()
      const took = await Rounds.elapsed(async () => {
        await Effect.runPromise(Scope.provide(Effect.forEach(indices, open, { discard: true }), scope))
        await awaitStreams(times)
      })
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await awaitStreams(0)
      return (took * 1000) / times
    }
  }
}
