/**
 * A process of a cluster that keeps a server's connection together with others. Start it twice, with different addresses:
 *
 * `DATABASE_URL=postgres://… node src/cluster.ts 10.0.0.7:7777 http://127.0.0.1:3001/mcp`
 *
 * It says who keeps each backend whenever that changes, and calls the tool `echo` for each line that is typed, through whichever process that is.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { ClusterBackends } from "@vmcp-keepalive/cluster"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { Config, Console, Effect, Layer, Option, Redacted, Stream } from "effect"
import { createInterface } from "node:readline"

const [address = "", url = ""] = process.argv.slice(2)
const settings: HttpPeerTransport.HttpSettings = { kind: "http", url: Redacted.make(url), headers: {} }

const Cluster = ClusterBackends.layer({
  address,
  // both processes may be on one machine here
  allowLoopback: true,
  lease: "4 seconds",
  backends: [
    { id: "one", settings },
    { id: "two", settings }
  ]
}).pipe(
  Layer.provide(HttpPeerTransport.layer()),
  Layer.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
)

const program = Effect.gen(function* () {
  const cluster = yield* ClusterBackends.ClusterBackends

  const owners = Effect.map(cluster.states, (states) =>
    [...states].map(([id, { owner, state }]) => `${id} is kept by ${state?._tag === "Connected" ? owner : "nobody"}`)
  )
  yield* Stream.fromEffectRepeat(Effect.delay(owners, "100 millis")).pipe(
    Stream.map((lines) => lines.join(", ")),
    Stream.changes,
    Stream.runForEach((line) => Console.log(line)),
    Effect.forkScoped
  )

  const one = Option.getOrThrow(yield* cluster.get("one"))
  const call = (message: string) =>
    one
      .use((peer, signal) =>
        peer.request({ method: "tools/call", params: { name: "echo", arguments: { message } } }, { signal })
      )
      .pipe(
        Effect.flatMap((result) => Console.log(JSON.stringify(result))),
        Effect.catch((error) => Console.log(error._tag))
      )
  const lines = Stream.fromAsyncIterable(createInterface({ input: process.stdin }), (error) => error)
  yield* Stream.runForEach(lines, call)
})

program.pipe(Effect.scoped, Effect.provide(Cluster), NodeRuntime.runMain)
