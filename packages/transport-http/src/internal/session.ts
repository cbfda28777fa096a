/**
 * One session: opening it, and the one way in which it ends.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { FetchLike } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Evidence } from "@vmcp-keepalive/core"
import type { Connector } from "@vmcp-keepalive/core"
import { Ask, CallView } from "@vmcp-keepalive/sdk-client"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Farewells } from "./farewell.ts"
import * as GuardedFetch from "./guardedFetch.ts"
import * as Headers from "./headers.ts"
import * as Http from "./http.ts"
import * as Probe from "./probe.ts"
import * as StandingStream from "./standingStream.ts"
import { GuardedTransport } from "./transport.ts"
import { Wire } from "./wire.ts"

/** What a session is opened with. */
export interface Options<E, R> {
  readonly endpoint: URL
  readonly headers: Headers.HeaderSource<E, R>
  readonly client: () => Client
  readonly authProvider: OAuthClientProvider | undefined
  readonly requestInit: RequestInit | undefined
  readonly fetch: FetchLike | undefined
  readonly farewells: Farewells
}

/** Opens a session; it ends with the scope. */
export const open = <E, R>(
  options: Options<E, R>,
  host: Connector.SessionHost
): Effect.Effect<Connector.Session<Client>, Evidence.Evidence, R | Scope.Scope> =>
  Effect.gen(function* () {
    const credentials = yield* Headers.read(options.headers)
    const line = yield* Effect.acquireRelease(connect(options, host), (opened) => end(opened, options.farewells))
    const { client, transport, wire } = line
    wire.credentials = credentials
    yield* options.farewells.sayAgainBefore(wire, shakeHands(line))
    yield* Ask.subscribe(wire.requests, client, host.subscriptions)
    const environment = yield* Effect.context<R>()
    return {
      client,
      era: "legacy",
      stateful: transport.sessionId !== undefined,
      call: (traceparent) => CallView.call(wire.requests, client, traceparent),
      probe: (rung) => Probe.probe(wire, client, rung),
      refresh: Headers.read(options.headers).pipe(
        Effect.provideContext(environment),
        Effect.tap((headers) =>
          Effect.sync(() => {
            wire.credentials = headers
          })
        ),
        Effect.ignore
      ),
      tools: Ask.tools(wire.requests, client)
    }
  })

interface Line {
  readonly client: Client
  readonly transport: GuardedTransport
  readonly wire: Wire
  readonly http: Http.HttpClient
  readonly fibers: FiberSet.FiberSet<void>
}

/** Builds the parts; nothing is sent yet. */
const connect = Effect.fnUntraced(function* <E, R>(options: Options<E, R>, host: Connector.SessionHost) {
  const { authProvider, endpoint, requestInit } = options
  const clock = yield* Clock.Clock
  const fibers = yield* FiberSet.make<void>()
  const run = yield* FiberSet.runtime(fibers)()
  const http =
    options.fetch === undefined && (requestInit === undefined || !("dispatcher" in requestInit))
      ? Http.ofAgent(requestInit)
      : Http.ofFetch(options.fetch ?? globalThis.fetch, requestInit)
  const wire = new Wire({
    endpoint,
    http: Http.withinOrigin(http.send),
    host,
    requestInit,
    authProvider,
    now: () => clock.currentTimeMillisUnsafe(),
    fork: (effect) => void run(effect)
  })
  const transport = new GuardedTransport(wire, {
    fetch: GuardedFetch.make({
      wire,
      elsewhere: options.fetch ?? globalThis.fetch,
      standing: () => StandingStream.body(wire)
    }),
    ...(authProvider === undefined ? {} : { authProvider }),
    ...(requestInit === undefined ? {} : { requestInit })
  })
  const line: Line = { client: options.client(), transport, wire, http, fibers }
  return line
})

/** `initialize`, and the notification that follows it. */
const shakeHands = ({ client, transport, wire }: Line): Effect.Effect<void, Evidence.Evidence> =>
  Effect.callback((resume) => {
    let connected = false
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
    transport.onclose = () => {
      const lost = connected && !wire.ended
      wire.quiesce()
      if (lost) wire.host.lost("closed")
    }
    client.connect(transport, CallView.patient()).then(
      () => {
        connected = true
        transport.muffle()
        resume(Effect.void)
      },
      () => resume(Effect.fail(wire.requests.handshakeFailure(wire.stray)))
    )
  })

/** Frees what the session holds, tells the server, and closes. What the SDK reports after that has no reader. */
const end = ({ client, fibers, http, transport, wire }: Line, farewells: Farewells): Effect.Effect<void> =>
  Effect.gen(function* () {
    wire.quiesce()
    yield* FiberSet.clear(fibers)
    yield* farewells.say(wire)
    wire.close()
    yield* Effect.promise(() => client.close().catch(() => {}))
    yield* Effect.promise(() => transport.close().catch(() => {}))
    http.close()
  })
