/**
 * The live page: which backend is bad, since when, why, what happens next and what to do, at `/` of an app's own HTTP server. It is one
 * static page that follows a stream of events (`/api/events`), and shows what `/api/status` tells as JSON.
 *
 * Anybody who may reach the server may look; who orders something, or reads what a server wrote to stderr, needs the operator token.
 */
import type { Fleet, KeepaliveEvent } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import type { Shape as GatewayShape } from "./Gateway.ts"
import type * as Clusters from "./internal/page/cluster.ts"
import type { Button as PageButton, Extras as PageExtras } from "./internal/page/extras.ts"
import * as Files from "./internal/page/files.ts"
import * as Guards from "./internal/page/guard.ts"
import * as Hub from "./internal/page/hub.ts"
import * as Operator from "./internal/page/operator.ts"
import * as Routes from "./internal/page/routes.ts"
import * as Wire from "./internal/page/wire.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What a program may add to the page: buttons in the details of a backend (`POST /api/backends/:id/:button`), and marks in its strip.
 *
 * @since 0.1.0
 */
export type Extras = PageExtras

/**
 * One of these buttons.
 *
 * @since 0.1.0
 */
export type Button = PageButton

/**
 * Where the page learns which process of a cluster keeps each backend: the service of `@vmcp-keepalive/cluster` is one.
 *
 * @since 0.1.0
 */
export type Cluster = Clusters.Source

/**
 * Whether a request may pass, judged by its `Host` and `Origin`.
 *
 * @since 0.1.0
 */
export type Guard = Guards.Guard

/**
 * Carries out an operator's command on a backend: `done`, `rejected` where its state does not allow it, `unknown` where there is no such
 * backend. It does not wait for what follows.
 *
 * @since 0.1.0
 */
export type Operate = Operator.Operate

/**
 * What {@link layer} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  /** the backends that are shown, in its order */
  readonly fleet: Pick<Fleet.Fleet<unknown>, "changes" | "events" | "get" | "states">
  /** what operators send as `Authorization: Bearer …` */
  readonly token: Redacted.Redacted<string>
  /** who may ask at all; default: requests for a name of the loopback interface, from no page of another origin */
  readonly guard?: Guard | undefined
  /** how commands are carried out; default: those of the fleet's own backends */
  readonly operate?: Operate | undefined
  /** what becomes of calls in hosts' own sessions, which the fleet does not tell: `calls` of the gateway; default: nothing */
  readonly calls?: Stream.Stream<KeepaliveEvent.KeepaliveEvent> | undefined
  /** the cluster that the fleet is of, whose processes are shown beside their backends; default: there is none */
  readonly cluster?: Cluster | undefined
  /** default: nothing is added */
  readonly extras?: Extras | undefined
}

/**
 * What `/api/status` answers, as JSON.
 *
 * @since 0.1.0
 */
export type Status = Wire.Status
/** @since 0.1.0 */
export const Status = Wire.Status

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * Carries out commands through a gateway: on the fleet's own backend, and on the sessions that hosts have of their own with it.
 *
 * @since 0.1.0
 */
export const operateOf =
  ({ operate }: Pick<GatewayShape, "operate">): Operate =>
  (id, command) =>
    Operator.ordered(command, operate(id, command))

// ------------------------------------------------------------------------------------------------------------- layers

/**
 * Adds the page and its API to the router: `/`, `/page/*`, `/api/events`, `/api/status`, `/api/backends/:id` and, for operators,
 * `POST /api/backends/:id/{probe,reconnect,isolate,reset}` and those of {@link Extras}.
 *
 * Answers 403 to a foreign `Host` or `Origin`, 401 without the token, 404 for an unknown backend or command, 409 where the state of the
 * backend does not allow the command, or a button is disabled, and 503 to more than 1,000 readers of events at a time, and to an order that reached nobody who could carry it out.
 *
 * @since 0.1.0
 */
export const layer = ({
  calls,
  cluster,
  extras,
  fleet,
  guard = Guards.local,
  operate = Operator.ofFleet(fleet),
  token
}: Options): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const hub = yield* Hub.make(fleet, { calls, cluster, marks: extras?.marks })
      const files = yield* Files.read
      return Routes.all({ hub, fleet, files, guard, token, operate, extras })
    })
  )
