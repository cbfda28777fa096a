/** What `serve` needs before it starts anything: everything that can be wrong is told now, a line for each, and nothing has been started. */
import { KeepaliveConfig } from "@vmcp-keepalive/config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { lineOf } from "./check.ts"
import * as Cluster from "./cluster.ts"
import { isIP } from "node:net"
import * as Listening from "./listening.ts"
import * as State from "./state.ts"
import * as Stopping from "./stopping.ts"
import { plain } from "./style.ts"
import { fail } from "./told.ts"
import * as Transports from "./transports.ts"

/** As the command line has them. */
export interface Options extends Cluster.Options {
  readonly config: string
  readonly host: string
  readonly port: Option.Option<number>
  readonly stdio: boolean
  readonly allowHost: ReadonlyArray<string>
  readonly metricsPort: Option.Option<number>
  readonly state: Option.Option<string>
  readonly open: boolean
  readonly json: boolean
}

/** Where it listens when it is not told. */
export const defaultPort = 8931

/** What there is to start from. */
export interface Prepared {
  readonly transports: Transports.Transports
  readonly state: State.State
  /** over HTTP; `undefined` where there is only stdio */
  readonly port: number | undefined
  readonly metricsPort: number | undefined
  /** `undefined` where it keeps its backends alone */
  readonly cluster: Cluster.Cluster | undefined
  /** within how many milliseconds it ends once it is asked to; `undefined` where that is what it always is */
  readonly stopping: number | undefined
}

export const prepare = Effect.fn(function* (options: Options) {
  const { config, host, metricsPort, stdio } = options
  const port = options.port._tag === "Some" ? options.port.value : stdio ? undefined : defaultPort
  const metrics = metricsPort._tag === "Some" ? metricsPort.value : undefined
  yield* addressesOf(options)
  const { specs } = yield* KeepaliveConfig.load(config).pipe(
    Effect.catch(({ issues }) => fail(issues.map((issue) => lineOf(config, issue)).join("\n")))
  )
  const transports = yield* Transports.make
  const missing = transports.missing(specs.flatMap(({ enabled, settings }) => (enabled ? [settings.kind] : [])))
  if (missing.length > 0) return yield* fail(missing.join("\n"))
  const state = yield* State.make(options.state)
  if (port !== undefined) yield* Listening.check(host, port, { port: "--port", host: "--host" })
  if (metrics !== undefined) yield* Listening.check(host, metrics, { port: "--metrics-port", host: "--host" })
  const cluster = yield* Cluster.prepare(options)
  const stopping = cluster && Stopping.afterDrain(Duration.toMillis(cluster.drain))
  const prepared: Prepared = { transports, state, port, metricsPort: metrics, cluster, stopping }
  return prepared
})

/** A name without a port, or an address. */
const isName = (name: string): boolean => /^[A-Za-z0-9._-]{1,253}$/.test(name) || isIP(name) !== 0

const addressesOf = Effect.fnUntraced(function* ({ allowHost, host, metricsPort, port }: Options) {
  const wrong = [
    ...(
      [
        ["--port", port],
        ["--metrics-port", metricsPort]
      ] as const
    ).flatMap(([flag, value]) =>
      value._tag === "Some" && (value.value < 0 || value.value > 65_535) ? [`${flag} takes a port from 0 to 65535`] : []
    ),
    ...(port._tag === "Some" && metricsPort._tag === "Some" && port.value === metricsPort.value && port.value !== 0
      ? ["--port and --metrics-port take two ports"]
      : []),
    ...allowHost.flatMap((name) =>
      isName(name) ? [] : [`--allow-host takes a name or an address without a port, and not ${plain(name)}`]
    ),
    ...(Listening.isLoopback(host) || allowHost.length > 0
      ? []
      : [`--host ${plain(host)} lets other machines in: name how they reach this one, with --allow-host NAME for each`])
  ]
  if (wrong.length > 0) return yield* fail(wrong.join("\n"))
})
