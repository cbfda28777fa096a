/** A cluster on this machine: its database and its processes, each a process of its own; this one may take part as well. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { ClusterBackends } from "@vmcp-keepalive/cluster"
import { Ports } from "@vmcp-keepalive/testkit"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { Duration, Effect, Layer, Logger, Redacted, type Scope } from "effect"
import { fileURLToPath } from "node:url"
import * as Started from "./Started.ts"

export interface Options {
  readonly address: string
  /** the port of the database */
  readonly storage: number
  /** the URL of each backend */
  readonly backends: Readonly<Record<string, string>>
  /** seconds between two probes */
  readonly interval: number
  /** seconds */
  readonly lease: number
}

/** What all processes of a cluster have in common. */
export type Common = Omit<Options, "address">

const program = (name: string) => fileURLToPath(import.meta.resolve(`./programs/${name}.js`))

/** An address on this machine at which nobody listens. */
export const address: Effect.Effect<string> = Effect.map(Ports.free, (port) => `127.0.0.1:${port}`)

/** Another process that takes part. */
export const member = (
  common: Common
): Effect.Effect<Started.Started<{ readonly address: string }>, never, Scope.Scope> =>
  Effect.flatMap(address, (address) => Started.start(program("member"), [JSON.stringify({ ...common, address })]))

/** This process takes part. */
export const layer = ({ address, backends, interval, lease, storage }: Options) =>
  ClusterBackends.layer({
    address,
    allowLoopback: true,
    lease: Duration.seconds(lease),
    backends: Object.entries(backends).map(([id, url]) => {
      const settings: HttpPeerTransport.HttpSettings = { kind: "http", url: Redacted.make(url), headers: {} }
      return { id, settings, policy: { probe: "ping", interval: Duration.seconds(interval), spans: false } }
    })
  }).pipe(
    Layer.provide(HttpPeerTransport.layer()),
    Layer.provide(
      PgClient.layer({
        host: "127.0.0.1",
        port: storage,
        database: "postgres",
        username: "postgres",
        password: Redacted.make("postgres"),
        maxConnections: 4
      })
    ),
    Layer.provide(Logger.layer([]))
  )

/** Waits until as many processes as that keep everything between them, all of it connected; returns whose each backend is. */
export const settled = (
  { states }: ClusterBackends.Shape,
  processes: number
): Effect.Effect<ReadonlyMap<string, string>> =>
  Effect.gen(function* () {
    while (true) {
      const owners = new Map(
        [...(yield* states)].flatMap(([id, { owner, state }]) =>
          owner !== undefined && state?._tag === "Connected" ? [[id, owner] as const] : []
        )
      )
      if (owners.size === (yield* states).size && new Set(owners.values()).size === processes) return owners
      yield* Effect.sleep("100 millis")
    }
  })
