/**
 * One session: opening it, and the one way in which it ends.
 */
import { Evidence } from "@vmcp-keepalive/core"
import type { Connector } from "@vmcp-keepalive/core"
import { Ask, type ClientKind, Listening } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Sender } from "../http/sender.ts"
import * as StandingStream from "../stream/standingStream.ts"
import type { Authorization } from "./authorization.ts"
import * as Headers from "./headers.ts"
import type { HttpLimits } from "./limits.ts"
import * as Negotiation from "./negotiation.ts"
import * as Post from "./post.ts"
import type { SessionTermination } from "./sessionTermination.ts"
import * as StatusOnly from "./statusOnly.ts"
import { type HeaderRecord, Wire } from "./wire.ts"

/** What a session is opened with. */
export interface Options<Client, E, R> {
  readonly endpoint: URL
  readonly kind: ClientKind.ClientKind<Client>
  readonly headers: Headers.HeaderSource<E, R>
  /** headers of every request that are not read again */
  readonly fixedHeaders: HeaderRecord
  readonly sender: () => Sender
  readonly limits: HttpLimits
  readonly authorization: (() => Authorization) | undefined
  /** prepares the transport of an SDK that has methods of its own */
  readonly prepare?: ((wire: Wire) => void) | undefined
  readonly termination: SessionTermination
}

/** Opens a session; it ends with the scope. */
export const open = <Client, E, R>(
  options: Options<Client, E, R>,
  host: Connector.SessionHost
): Effect.Effect<Connector.Session<Client>, Evidence.Evidence, R | Scope.Scope> =>
  Effect.gen(function* () {
    const { kind, limits, termination } = options
    const credentials = yield* Headers.read(options.headers)
    const parts = yield* Effect.acquireRelease(connect(options, host), (made) => end(made, kind, termination))
    const { client, wire } = parts
    wire.authorize(credentials)
    const environment = yield* Effect.context<R>()
    const refresh = Headers.read(options.headers).pipe(
      Effect.provideContext(environment),
      Effect.map((headers) => wire.authorize(headers)),
      Effect.catch(() => Effect.succeed(false)),
      Effect.flatMap((isOther) => (isOther ? Effect.succeed(true) : refreshToken(wire)))
    )
    const remembered = host.era?.legacyUntil
    const known = remembered !== undefined && remembered > wire.now() ? "legacy" : undefined
    yield* termination.terminateBefore(wire, shakeHands(parts, kind, known))
    wire.opening(undefined)
    const { era } = wire.requests
    if (era === "legacy") {
      // A server that is remembered to keep sessions and keeps none may have become one of both eras.
      const doubt =
        wire.doubtfulEra ?? (known !== undefined && wire.sessionId === undefined ? Negotiation.changed : undefined)
      if (doubt !== undefined) yield* Negotiation.confirm(wire, doubt)
      remember(wire)
      wire.fork(StandingStream.keep(wire))
      yield* Ask.subscribe(wire.requests, host.subscriptions)
    }
    wire.opened = true
    return {
      client,
      era,
      stateful: wire.sessionId !== undefined,
      separateAnswers: true,
      call: (traceparent) => kind.call(wire.requests, client, traceparent),
      probe: (rung) => (rung._tag === "options" ? StatusOnly.send(wire, "OPTIONS") : Ask.probe(wire.requests, rung)),
      refresh,
      list: (listed) => Effect.suspend(() => Ask.list(wire.requests, kind.capabilities(client), limits, listed)),
      listen: (filter, hearing) =>
        Listening.listen({ ...wire.listening, capabilities: () => kind.capabilities(client) }, filter, hearing)
    }
  })

interface Parts<Client> {
  readonly client: Client
  readonly wire: Wire
  readonly fibers: FiberSet.FiberSet<void>
}

/** Builds the parts; nothing is sent yet. */
const connect = Effect.fnUntraced(function* <Client, E, R>(
  options: Options<Client, E, R>,
  host: Connector.SessionHost
) {
  const clock = yield* Clock.Clock
  const fibers = yield* FiberSet.make<void>()
  const run = yield* FiberSet.runtime(fibers)()
  const client = yield* options.kind.make
  const wire = new Wire({
    endpoint: options.endpoint,
    sender: options.sender(),
    host,
    limits: options.limits,
    headers: options.fixedHeaders,
    authorization: options.authorization?.(),
    now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
    wallClock: () => clock.currentTimeMillisUnsafe(),
    fork: (effect) => void run(effect),
    post: Post.make
  })
  options.prepare?.(wire)
  const parts: Parts<Client> = { client, wire, fibers }
  return parts
})

const refreshToken = ({ authorization }: Wire): Effect.Effect<boolean> =>
  authorization === undefined
    ? Effect.succeed(false)
    : Effect.orElseSucceed(
        Effect.tryPromise(() => authorization.refresh()),
        () => false
      )

/** How long it is remembered that a server is of the legacy era, in milliseconds. */
const day = 24 * 3_600_000

/** So that the next session asks for nothing that the server does not know. The day begins when the server was asked. */
const remember = ({ host, now, requests, sessionId }: Wire): void => {
  if (host.era === undefined) return
  if (sessionId === undefined) host.era.legacyUntil = undefined
  else if (requests.offered !== undefined) host.era.legacyUntil = now() + day
}

/** `server/discover`, or `initialize` and the notification that follows it. */
const shakeHands = <Client>(
  { client, wire }: Parts<Client>,
  kind: ClientKind.ClientKind<Client>,
  known: "legacy" | undefined
): Effect.Effect<void, Evidence.Evidence> =>
  Effect.callback((resume) => {
    kind.connect(client, wire.transport, known).then(
      () => resume(Effect.void),
      () => {
        const evidence = wire.requests.handshakeFailure(wire.stray)
        resume(Effect.fail(known === undefined ? evidence : Negotiation.ofRemembered(evidence)))
      }
    )
  })

/** Frees what the session holds, tells the server, and closes. What the client reports after that has no reader. */
const end = <Client>(
  { client, fibers, wire }: Parts<Client>,
  kind: ClientKind.ClientKind<Client>,
  termination: SessionTermination
): Effect.Effect<void> =>
  Effect.gen(function* () {
    wire.quiesce()
    yield* FiberSet.clear(fibers)
    yield* termination.terminate(wire)
    wire.close()
    yield* Effect.promise(() => kind.close(client).catch(() => {}))
    yield* Effect.promise(() => wire.transport.close())
  })
