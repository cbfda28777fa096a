/** The test itself as a process of the cluster, beside replicas. */
import type { Fleet, KeepalivePolicy } from "@vmcp-keepalive/core"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { Duration, Effect, Layer, Redacted, References } from "effect"
import { ClusterBackends } from "../../src/index.ts"
import { fewShards, freePort, type Storage } from "./world.ts"
import { clientOf } from "./client.ts"

export interface Options {
  readonly storage: Storage
  /** in milliseconds */
  readonly lease: number
  /** the URLs of the backends, by their ids */
  readonly backends: { readonly [id: string]: string }
  readonly policy?: KeepalivePolicy.Options
  /** what is so for some only, by their ids */
  readonly policies?: { readonly [id: string]: KeepalivePolicy.Options }
  readonly shards?: number
}

export const specs = (
  address: string,
  backends: Options["backends"],
  policy: KeepalivePolicy.Options = {},
  policies: Options["policies"] = {}
): ReadonlyArray<Fleet.Spec> =>
  Object.entries(backends).map(([id, url]) => ({
    id,
    settings: {
      kind: "http",
      url: Redacted.make(url),
      headers: { "x-replica": Redacted.make(address) }
    } satisfies HttpPeerTransport.HttpSettings,
    policy: {
      probe: "ping",
      interval: "1 second",
      timeout: "500 millis",
      confirmInterval: "200 millis",
      backoff: { initial: "100 millis", factor: 2, cap: "1 second" },
      ...policy,
      ...policies[id]
    }
  }))

/** Joins until the scope ends. */
export const member = ({ backends, lease, policies, policy, shards = fewShards, storage }: Options) =>
  Effect.gen(function* () {
    const address = `127.0.0.1:${yield* freePort}`
    const layer = ClusterBackends.layer({
      address,
      allowLoopback: true,
      lease: Duration.millis(lease),
      shards,
      backends: specs(address, backends, policy, policies)
    }).pipe(
      Layer.provide(HttpPeerTransport.layer()),
      Layer.provide(clientOf(storage.port, 4)),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "Fatal"))
    )
    const context = yield* Layer.build(layer)
    return { address, cluster: yield* Effect.provide(ClusterBackends.ClusterBackends, context) }
  })
