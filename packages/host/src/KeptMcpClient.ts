/**
 * Effect's `McpClient` on a kept connection: it is made once, and does not notice that sessions with the server come and go.
 *
 * What fails does so in Effect's own type, `McpClientError`. What this library itself has to say (no session, outcome unknown, …)
 * comes as the `data` of a `ProtocolError`: see {@link dataOf}.
 */
import type { BackendError } from "@vmcp-keepalive/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as McpClient from "effect/ai/McpClient"
import type * as McpClientError from "effect/ai/McpClientError"
import * as ErrorAnswer from "./ErrorAnswer.ts"
import * as Exchange from "./internal/effectAi/exchange.ts"
import * as Told from "./internal/effectAi/progress.ts"
import type * as KeptPeer from "./KeptPeer.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What a kept connection is made of.
 *
 * @since 0.1.0
 */
export interface Options<R = never, RequestR = never> extends KeptPeer.Options<R>, Exchange.Options<RequestR> {}

/**
 * How a client introduces itself, and how long it waits: what `McpClient.make` takes.
 *
 * @since 0.1.0
 */
export type ClientOptions = Parameters<typeof McpClient.make>[0]

/**
 * A transport of Effect's that never closes before its scope does. It is for one client: like a connection of MCP, it is initialized
 * once.
 *
 * @since 0.1.0
 */
export type Transport = Exchange.KeptTransport
/**
 * The tag of the transport.
 *
 * @since 0.1.0
 */
export const Transport: Context.Service<Transport, Transport> = Context.Service<Transport>(
  "@vmcp-keepalive/host/KeptMcpClient/Transport"
)

/**
 * Effect's client, and the kept connection that it is on.
 *
 * @since 0.1.0
 */
export interface KeptMcpClient extends McpClient.McpClient {
  readonly transport: Transport
}
/**
 * The tag of the client, for applications with one connection.
 *
 * @since 0.1.0
 */
export const KeptMcpClient: Context.Service<KeptMcpClient, KeptMcpClient> = Context.Service<KeptMcpClient>(
  "@vmcp-keepalive/host/KeptMcpClient"
)

/**
 * How far a request is.
 *
 * @since 0.1.0
 */
export type Progress = Told.Progress

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A transport for `McpClient.make`. Nothing is sent before the client sends; what is wrong in the settings fails at once. With its
 * scope everything ends: requests under way fail with a `ClosedError`.
 *
 * @since 0.1.0
 */
export const transport: <R = never, RequestR = never>(
  options: Options<R, RequestR>
) => Effect.Effect<Transport, BackendError.ConfigurationError, Scope.Scope | R | RequestR> = Exchange.make

/**
 * Makes a client on the {@link Transport} of the context. It fails where the server could not be reached within `initializeTimeout`;
 * made again, on the same transport, it tries again.
 *
 * @since 0.1.0
 */
export const make = (
  options: ClientOptions
): Effect.Effect<KeptMcpClient, McpClientError.McpClientError, Scope.Scope | Transport> =>
  Effect.gen(function* () {
    const own = yield* Transport
    const client = yield* Effect.provideService(McpClient.make(options), McpClient.Transport, own)
    return { ...client, transport: own }
  })

// --------------------------------------------------------------------------------------------------------- combinators

/**
 * Tells `onProgress` how far the requests are that the effect makes, tools that a model calls included. What comes before a result is
 * told before the effect goes on with that result; where `onProgress` takes its time, the oldest of what waits is dropped.
 *
 * @since 0.1.0
 */
export const withProgress: {
  /** @since 0.1.0 */
  <R2 = never>(
    onProgress: (progress: Progress) => Effect.Effect<void, never, R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  /** @since 0.1.0 */
  <A, E, R, R2 = never>(
    self: Effect.Effect<A, E, R>,
    onProgress: (progress: Progress) => Effect.Effect<void, never, R2>
  ): Effect.Effect<A, E, R | R2>
} = dual(
  2,
  <A, E, R, R2>(
    self: Effect.Effect<A, E, R>,
    onProgress: (progress: Progress) => Effect.Effect<void, never, R2>
  ): Effect.Effect<A, E, R | R2> =>
    Effect.contextWith((context: Context.Context<R2>) =>
      Effect.provideService(self, Told.OnProgress, (progress) => Effect.provideContext(onProgress(progress), context))
    )
)

// ------------------------------------------------------------------------------------------------------------- getters

/**
 * What an error says where it is one of this library's own; `undefined` where the server, or Effect's client, has failed the request.
 * Only with `executed: "no"` is it safe to make a call again.
 *
 * @since 0.1.0
 */
export const dataOf = ({ reason }: McpClientError.McpClientError): ErrorAnswer.Data | undefined =>
  reason._tag === "ProtocolError" ? ErrorAnswer.dataOf(reason) : undefined

// -------------------------------------------------------------------------------------------------------------- layers

/**
 * Provides {@link transport}, to Effect's `McpClient.make` as well.
 *
 * @since 0.1.0
 */
export const layerTransport = <R = never, RequestR = never>(
  options: Options<R, RequestR>
): Layer.Layer<McpClient.Transport | Transport, BackendError.ConfigurationError, Exclude<R | RequestR, Scope.Scope>> =>
  Layer.effectContext(
    Effect.map(transport(options), (own) => Context.make(McpClient.Transport, own).pipe(Context.add(Transport, own)))
  )

/**
 * Provides a client on a kept connection of its own.
 *
 * @since 0.1.0
 */
export const layer = <R = never, RequestR = never>(
  options: Options<R, RequestR> & ClientOptions
): Layer.Layer<
  McpClient.McpClient | KeptMcpClient,
  BackendError.ConfigurationError | McpClientError.McpClientError,
  Exclude<R | RequestR, Scope.Scope>
> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const client = yield* Effect.provideService(make(options), Transport, yield* transport(options))
      return Context.make(McpClient.McpClient, client).pipe(Context.add(KeptMcpClient, client))
    })
  )
