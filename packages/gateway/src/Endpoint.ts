/**
 * Where hosts reach a gateway over HTTP: MCP's Streamable HTTP on one path, and what a platform asks, `/healthz` and `/readyz`.
 *
 * Mounted on the `HttpRouter` of an app by {@link layer}, or on a server of its own by {@link serve}. Who names another host, or comes
 * from a page of another origin, is refused.
 */
import * as SessionEndpoint from "@vmcp-keepalive/host/endpoint"
import { KeepaliveMetrics } from "@vmcp-keepalive/otel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Gateway } from "./Gateway.ts"
import * as Body from "./internal/endpoint/body.ts"
import { commented } from "./internal/endpoint/comments.ts"
import * as Guard from "./internal/endpoint/guard.ts"
import * as Health from "./internal/endpoint/health.ts"
import * as Server from "./internal/endpoint/server.ts"
import * as SignedIds from "./internal/endpoint/signedIds.ts"
import * as Opening from "./internal/host/opening.ts"
import * as Modern from "./internal/modern/modern.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What both ways of serving take.
 *
 * @since 0.1.0
 */
export interface Options {
  /** what `/readyz` is about */
  readonly fleet: Health.Observed
  /** Where MCP is spoken. Default: `/mcp` */
  readonly path?: `/${string}` | undefined
  /** Names and addresses, without a port, by which it may be asked beside those of loopback. Default: none */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** What hosts must send as a bearer token. Default: nothing */
  readonly token?: Redacted.Redacted<string> | undefined
  /**
   * How many hosts may have a session at a time. Where there would be one too many, the one ends that was not used for the longest time;
   * none with a request under way: then the next is answered with 503. Default: 1,000
   */
  readonly maxSessions?: number | undefined
  /**
   * Makes sessions outlive this process: 32 bytes that nobody else knows, by which a later gateway recognizes an id. Default: they
   * do not
   */
  readonly key?: Redacted.Redacted<Uint8Array> | undefined
  /** How long after it was made such an id is recognized. Default: 7 days */
  readonly sessionLifetime?: Duration.Input | undefined
  /**
   * How long a host's session may be unused, without a request under way and without a stream, before it ends, and with it what is held for it
   * at the servers; at most twice that. Most hosts go away without a word. One that comes back goes on under the same id,
   * in new sessions with the servers. Default: 1 hour where there is a {@link key}, without a bound where there is none
   */
  readonly idleTimeout?: Duration.Input | undefined
}

/**
 * What {@link serve} takes.
 *
 * @since 0.1.0
 */
export interface ServeOptions extends Options {
  /** Default: 127.0.0.1 */
  readonly host?: string | undefined
  /** 0: any that is free */
  readonly port: number
}

/**
 * Where {@link serve} listens.
 *
 * @since 0.1.0
 */
export class Address extends Context.Service<
  Address,
  {
    readonly host: string
    /** the real one, also where 0 was asked for */
    readonly port: number
    /** the server itself, without a path */
    readonly origin: string
    /** where MCP is spoken */
    readonly mcp: string
  }
>()("vmcp-keepalive/Endpoint/Address") {}

// ------------------------------------------------------------------------------------------------------------- errors

/** @since 0.1.0 */
export { ListenError } from "./internal/endpoint/server.ts"

// ------------------------------------------------------------------------------------------------------------- layers

/**
 * Mounts the endpoint on an app's own router. What else the app serves is its own matter.
 *
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, never, Gateway | HttpRouter.HttpRouter> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const router = yield* HttpRouter.HttpRouter
      const answering = yield* hosts(options)
      const rules = rulesOf(options)
      yield* router.add("*", pathOf(options), (request) => {
        const refused = Guard.refusal(askingOf(request), rules)
        return refused === undefined ? passed(answering, request) : Effect.succeed(refusal(refused))
      })
      yield* mountHealth(options, rules)
    })
  )

/**
 * Serves the endpoint, and the routes of `app`, on a port of its own. Open connections end with the layer.
 *
 * @since 0.1.0
 */
export const serve = <E, R>(
  options: ServeOptions,
  app: Layer.Layer<never, E, R>
): Layer.Layer<Address, E | Server.ListenError, Gateway | Exclude<R, HttpRouter.HttpRouter>> => {
  const { host = "127.0.0.1", port } = options
  const address = Effect.gen(function* () {
    const answering = yield* hosts(options)
    const node = yield* Effect.acquireRelease(
      Effect.sync(() => SessionEndpoint.nodeListener(answering)),
      ({ end }) => Effect.sync(end)
    )
    const router = yield* HttpRouter.HttpRouter
    const actual = yield* Server.serve({
      host,
      port,
      rules: rulesOf({ ...options, allowedHosts: [...(options.allowedHosts ?? []), host] }),
      mcp: { path: pathOf(options), listener: node.listener },
      app: router.asHttpEffect()
    })
    const authority = host.includes(":") ? `[${host}]` : host
    const origin = `http://${authority}:${actual}`
    return { host, port: actual, origin, mcp: `${origin}${pathOf(options)}` }
  })
  const health = Layer.effectDiscard(mountHealth(options, undefined))
  return Layer.effect(Address, address).pipe(
    Layer.provide(Layer.mergeAll(app, health)),
    Layer.provide(HttpRouter.layer)
  )
}

/**
 * Adds `/metrics` for Prometheus to the router: the figures of the context, which `KeepaliveMetrics.layer` of `@vmcp-keepalive/otel` counts.
 *
 * @since 0.1.0
 */
export const layerMetrics: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.use((router) =>
  Effect.flatMap(KeepaliveMetrics.prometheusPage, (page) =>
    router.add(
      "GET",
      "/metrics",
      Effect.sync(() => {
        const { body, contentType } = page()
        return HttpServerResponse.text(body, { contentType })
      })
    )
  )
)

// ----------------------------------------------------------------------------------------------------------- internal

const pathOf = ({ path = "/mcp" }: Options): `/${string}` => path

const rulesOf = ({ allowedHosts = [], token }: Options): Guard.Rules => ({ allowedHosts, token })

/** What answers hosts of both eras, until the scope closes. */
const hosts = Effect.fnUntraced(function* ({
  key,
  idleTimeout = key === undefined ? Duration.infinity : "1 hour",
  maxSessions = 1000,
  sessionLifetime = "7 days"
}: Options): Effect.fn.Return<SessionEndpoint.Answering, never, Gateway | Scope.Scope> {
  const gateway = yield* Gateway
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const open = yield* Opening.of(gateway)
  const ids =
    key &&
    SignedIds.make({
      clock,
      key: Redacted.value(key),
      lifetime: Duration.fromInputUnsafe(sessionLifetime),
      onUnsigned: () => Effect.runForkWith(context)(Effect.logWarning(unsigned))
    })
  const closing = ({ close }: { readonly close: () => Promise<void> }) => Effect.promise(close)
  const sessions = Effect.sync(() => SessionEndpoint.make({ id: "gateway", maxSessions, open, ids }))
  const legacy = yield* Effect.acquireRelease(sessions, closing)
  const idle = Duration.fromInputUnsafe(idleTimeout)
  if (Duration.isFinite(idle))
    yield* Effect.forkScoped(Effect.repeat(Effect.sync(legacy.endUnused), Schedule.spaced(idle)))
  const modern = yield* Effect.acquireRelease(
    Effect.sync(() => Modern.make({ open })),
    closing
  )
  return async (received) => {
    if (received.body !== null && Body.isCostly(received.body)) return SessionEndpoint.answerOf(Body.tooLarge())
    if (Modern.saysLegacy(received.headers)) return legacy.answer(received)
    const request = new Request(received.url, received.init())
    if (await Modern.isLegacy(request)) return legacy.answer(received)
    return SessionEndpoint.answerOf(await modern.fetch(request))
  }
})

/** Answers a request of the router's; one that was interrupted is aborted. */
const passed = (answering: SessionEndpoint.Answering, request: HttpServerRequest.HttpServerRequest) =>
  Effect.gen(function* () {
    const { body, headers, method, url } = yield* HttpServerRequest.toWeb(request)
    const answer = yield* Effect.tryPromise(async (signal) => {
      const bytes = body && (await Body.read(body))
      if (bytes === undefined) return Body.tooLarge()
      const init = { method, headers, body: bytes, signal }
      return SessionEndpoint.responseOf(await answering({ ...init, url, init: () => init }))
    })
    const isStream = answer.headers.get("content-type")?.startsWith("text/event-stream") === true
    return HttpServerResponse.fromWeb(
      answer.body !== null && isStream ? new Response(commented(answer.body), answer) : answer
    )
    // a connection that cannot be made is told where it is made
  }).pipe(Effect.catch(() => Effect.succeed(HttpServerResponse.empty({ status: 500 }))))

const unsigned =
  "what a client says of itself is too long to stand in the id of its session: the session ends with this gateway"

const mountHealth = ({ fleet }: Options, rules: Guard.Rules | undefined) =>
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const guarded =
      (answer: Effect.Effect<HttpServerResponse.HttpServerResponse>) =>
      (request: HttpServerRequest.HttpServerRequest) => {
        const refused = rules && Guard.refusal(askingOf(request), { ...rules, token: undefined })
        return refused === undefined ? answer : Effect.succeed(refusal(refused))
      }
    yield* router.add("GET", "/healthz", guarded(Effect.succeed(HttpServerResponse.text("ok\n"))))
    const ready = Effect.map(Health.readiness(fleet), (readiness) =>
      HttpServerResponse.jsonUnsafe(readiness, { status: readiness.ready ? 200 : 503 })
    )
    yield* router.add("GET", "/readyz", guarded(ready))
  })

const askingOf = ({ headers }: HttpServerRequest.HttpServerRequest): Guard.Asking => ({
  authorization: headers["authorization"],
  host: headers["host"],
  origin: headers["origin"]
})

const refusal = (status: 401 | 403): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.empty({ status, headers: status === 401 ? { "www-authenticate": "Bearer" } : {} })
