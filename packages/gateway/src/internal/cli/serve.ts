/** `serve`: the gateway, its endpoint, its page and its metrics, until it is asked to end. */
import { Fleet } from "@vmcp-keepalive/core"
import { KeepaliveMetrics } from "@vmcp-keepalive/otel"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { join, resolve } from "node:path"
import * as Endpoint from "../../Endpoint.ts"
import * as Gateway from "../../Gateway.ts"
import * as Page from "../../Page.ts"
import * as Stdio from "../../Stdio.ts"
import * as Addresses from "./addresses.ts"
import * as Following from "./following.ts"
import { Lines } from "./lines.ts"
import * as Listening from "./listening.ts"
import * as Log from "./log.ts"
import { open } from "./open.ts"
import { prepare, type Options, type Prepared } from "./preparing.ts"
import * as Progress from "./progress.ts"
import type * as State from "./state.ts"
import * as Stopping from "./stopping.ts"
import * as Style from "./style.ts"
import { fail, type Told } from "./told.ts"

/** Serves until this process is asked to end. Fails, with a line for each thing that is wrong, before anything is started. */
export const serve = Effect.fn(function* (options: Options) {
  const prepared = yield* prepare(options)
  const stderr = new Lines(process.stderr.fd)
  const style = Style.make(Style.isWanted(process.stderr))
  const log = Log.layer({ json: options.json, style, write: stderr.write })
  yield* running(options, prepared, stderr).pipe(
    Effect.provide(log),
    Effect.raceFirst(Stopping.requested(prepared.stopping)),
    Effect.scoped,
    Effect.ensuring(Effect.promise(stderr.flushed))
  )
})

const running = Effect.fn(function* (options: Options, prepared: Prepared, stderr: Lines) {
  const metrics = yield* metricsOf(options, prepared)
  yield* serving(options, prepared, stderr).pipe(Effect.provide(metrics))
})

const serving = Effect.fn(function* (options: Options, prepared: Prepared, stderr: Lines) {
  const { config, json } = options
  const { state } = prepared
  const { cluster, fleet } = yield* backendsOf(prepared)
  const gateway = yield* Gateway.make({ fleet, lists: listsOf(state, config) }).pipe(Effect.orDie)
  const plan: Following.Options["plan"] = (specs, before) =>
    Effect.provide(Fleet.plan<Peer.Peer>(specs, before), prepared.transports.layer)
  yield* Following.start({ config, fleet, plan, show: gateway.show })
  const port = yield* listening(options, prepared, { cluster, fleet, gateway })
  const metrics = yield* Effect.serviceOption(KeepaliveMetrics.PrometheusEndpoint)
  const addresses: Addresses.Addresses = {
    host: options.host,
    port,
    metrics: Option.isSome(metrics) ? metrics.value.url : undefined
  }
  const lines = json
    ? [Addresses.json(addresses, state)]
    : Addresses.lines(addresses, state, Style.make(Style.isWanted(process.stdout)), process.stdout.isTTY === true)
  // stdout is the protocol's where a host reads it
  for (const line of lines) yield* options.stdio ? Effect.sync(() => stderr.write(line)) : Console.log(line)
  const { page } = Addresses.urlsOf(addresses)
  if (options.open && page !== undefined) open(page)
  if (process.stderr.isTTY === true && !json) yield* Effect.forkScoped(Progress.tell(fleet, stderr.write))
  // an IDE ends its server by the end of its input
  return yield* options.stdio
    ? Effect.andThen(
        Stdio.serve({ gateway }),
        Effect.sync(() => Stopping.within(prepared.stopping))
      )
    : Effect.never
})

/** Gateways may have one state folder, and servers of one name in other files are others. */
const listsOf = ({ folder }: State.State, config: string): string =>
  join(folder, "lists", createHash("sha256").update(resolve(config)).digest("hex").slice(0, 32))

interface Backends {
  readonly fleet: Fleet.Backends<Peer.Peer>
  /** where it is one of several gateways */
  readonly cluster: Page.Cluster | undefined
}

/** Its own, or those that it shares with others. */
const backendsOf = ({ cluster, transports }: Prepared): Effect.Effect<Backends, Told, Scope.Scope> => {
  const alone = Effect.map(Fleet.make<Peer.Peer>(), (fleet): Backends => ({ fleet, cluster: undefined }))
  const shared = cluster && Effect.map(cluster.join, (joined): Backends => ({ fleet: joined.fleet, cluster: joined }))
  const made: Effect.Effect<Backends, Told, Scope.Scope | Fleet.Transport<Peer.Peer>> = shared ?? alone
  return Effect.provide(made, transports.layer)
}

/** Counts what happens to the backends that are made with it, and serves that on a port of its own where it is asked for. */
const metricsOf = ({ allowHost, host }: Options, { metricsPort }: Prepared) => {
  const layer =
    metricsPort === undefined
      ? KeepaliveMetrics.layer()
      : KeepaliveMetrics.layerPrometheus({
          port: metricsPort,
          host,
          // elsewhere than on this machine a scraper asks by addresses that nobody knows before
          allowedHosts: Listening.isLoopback(host) && allowHost.length > 0 ? allowHost : undefined
        })
  return Layer.build(layer).pipe(Effect.catch(({ message }) => fail(message)))
}

interface Served extends Backends {
  readonly gateway: Gateway.Shape
}

/** Over HTTP; the port on which it listens, where it does. */
const listening = Effect.fn(function* (
  { allowHost, host }: Options,
  { cluster: prepared, port, state }: Prepared,
  { cluster, fleet, gateway }: Served
) {
  if (port === undefined) return undefined
  const page = Page.layer({
    calls: gateway.calls,
    cluster,
    fleet,
    token: state.operatorToken,
    operate: Page.operateOf(gateway),
    // the server has looked at every request before
    guard: () => true
  })
  const served = Endpoint.serve(
    {
      fleet,
      host,
      port,
      allowedHosts: allowHost,
      key: prepared?.sessionKey ?? state.sessionKey,
      token: state.clientToken
    },
    Layer.merge(page, Endpoint.layerMetrics)
  )
  const context = yield* Layer.build(Layer.provide(served, Layer.succeed(Gateway.Gateway, gateway))).pipe(
    Effect.catchTag("ListenError", ({ message }) => fail(message))
  )
  return Context.get(context, Endpoint.Address).port
})
