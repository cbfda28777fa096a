/** What a call takes that another process of a cluster makes, beside one that this process makes itself. */
import { ClusterBackends } from "@vmcp-keepalive/cluster"
import { Backend } from "@vmcp-keepalive/core"
import { Database, McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector, type Peer } from "@vmcp-keepalive/transport-http/peer"
import { Context, Effect, Layer, Option, type Scope } from "effect"
import * as Calls from "../Calls.ts"
import * as Clustered from "../Clustered.ts"
import type { Limit, Result, Row } from "../Row.ts"

const alone = "a backend of this process, no cluster"
const here = "a backend of a cluster that this process keeps"
const there = "one that another process keeps"
const hop = "the hop alone: the state of that one"

const echo = { method: "tools/call", params: { name: "echo", arguments: { message: "hello" } } }
const call = (peer: Peer.Peer, signal: AbortSignal) => peer.request(echo, { signal })

const row = (
  name: string,
  title: string,
  serve: Effect.Effect<{ readonly url: string }, unknown, Scope.Scope>,
  limits: (results: ReadonlyArray<Result<Calls.Taken>>) => ReadonlyArray<Limit>
): Row => ({
  name,
  title,
  unit: "µs",
  run: Effect.gen(function* () {
    const { url } = yield* serve
    const { port } = yield* Database.make
    const backends = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`backend-${index}`, url]))
    const common: Clustered.Common = { storage: port, backends, interval: 300, lease: 15 }
    yield* Clustered.member(common)
    const address = yield* Clustered.address
    const cluster = Context.get(
      yield* Layer.build(Clustered.layer({ ...common, address })),
      ClusterBackends.ClusterBackends
    )
    const owners = yield* Clustered.settled(cluster, 2)
    const whose = (isOurs: boolean) =>
      Effect.map(
        cluster.get([...owners].find(([, owner]) => (owner === address) === isOurs)?.[0] ?? ""),
        Option.getOrThrow
      )
    const own = yield* Backend.make({ id: "alone", connector: HttpPeerConnector.make({ url }) })
    yield* own.awaitConnected
    const [ours, others] = [yield* whose(true), yield* whose(false)]
    const results = yield* Calls.interleave(
      [
        Calls.effect(alone, Effect.orDie(own.use(call))),
        Calls.effect(here, Effect.orDie(ours.use(call))),
        Calls.effect(there, Effect.orDie(others.use(call))),
        Calls.effect(hop, Effect.orDie(others.state))
      ],
      { times: 300, rounds: 15, warmUp: 8 }
    )
    return {
      contestants: Calls.of(results, "wall"),
      also: [
        { title: "The 99th of a hundred of the same calls", unit: "µs", contestants: Calls.of(results, "p99") },
        { title: "CPU of this process for it", unit: "µs", contestants: Calls.of(results, "cpu") }
      ],
      limits: limits(results)
    }
  })
})

const routed = (results: ReadonlyArray<Result<Calls.Taken>>) =>
  Calls.limit(results, {
    quantity: "wall",
    of: there,
    beside: alone,
    most: 2.5,
    because: "a request and its answer go through one socket and one process more"
  })

export const clusterCall = row(
  "cluster-call",
  "A tool call to a server over HTTP that answers at once",
  ScriptedServer.make({ answers: "json" }),
  (results) => [
    routed(results),
    Calls.limit(results, {
      quantity: "wall",
      of: here,
      beside: alone,
      most: 1.15,
      because: "what a process keeps itself it asks without the cluster"
    })
  ]
)

export const clusterCallReal = row(
  "cluster-call-real",
  "The same to server-everything",
  McpServers.everything,
  (results) => [routed(results)]
)
