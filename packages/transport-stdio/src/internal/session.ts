/**
 * One session: a child process and the client that talks to it. It ends with the child, and the child with it.
 */
import { type Connector, Evidence, type FailureDetail, type FailureReason } from "@vmcp-keepalive/core"
import { Ask, type ClientKind, Listening } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as ChildProcess from "./childProcess.ts"
import * as Negotiation from "./negotiation.ts"
import type { Settings } from "./settings.ts"
import * as SpawnFailure from "./spawnFailure.ts"
import * as Stderr from "./stderr.ts"
import * as Watchdog from "./watchdog.ts"
import { Wire } from "./wire.ts"

/** What a session is opened with. */
export interface Options<Client> {
  readonly settings: Settings
  readonly kind: ClientKind.ClientKind<Client>
  readonly readers: Stderr.Readers
}

/**
 * Opens a session; it ends with the scope. Where the first child leaves it open of which era the server is, it is ended, and another
 * one started.
 */
export const open = <Client>(
  options: Options<Client>,
  host: Connector.SessionHost
): Effect.Effect<Connector.Session<Client>, Evidence.Evidence, Scope.Scope> =>
  Effect.gen(function* () {
    const way = Negotiation.recall(host, yield* monotonicMillis)
    const first = yield* Scope.fork(yield* Effect.scope)
    const opened = yield* Effect.result(Scope.provide(openOne(options, host, way), first))
    if (Result.isSuccess(opened)) return opened.success
    const next = "handshake" in opened.failure ? Negotiation.next(opened.failure) : undefined
    if (next === undefined) return yield* Effect.fail(opened.failure.evidence)
    yield* Scope.close(first, Exit.void)
    const session = yield* Effect.mapError(openOne(options, host, next), (failure) => failure.evidence)
    if (next.known === "legacy") Negotiation.remember(host, yield* monotonicMillis)
    return session
  })

const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** A child could not be started. */
interface NotStarted {
  readonly evidence: Evidence.Evidence
}

/** Opens a session with one child. */
const openOne = <Client>(
  options: Options<Client>,
  host: Connector.SessionHost,
  way: Negotiation.Way
): Effect.Effect<Connector.Session<Client>, NotStarted | Negotiation.NotOpened, Scope.Scope> =>
  Effect.gen(function* () {
    const { kind, settings } = options
    const connection = yield* Effect.acquireRelease(connect(options, host, way), (made) => end(made, options)).pipe(
      Effect.mapError((evidence): NotStarted => ({ evidence }))
    )
    const { client, lost, wire } = connection
    const { handshake, requests } = wire
    // one that is late again is so by a deadline of the user's, who goes on without its answer then
    const isLate = () => handshake.isAnsweredLate && way.patience !== undefined
    handshake.onLateAnswer = () => {
      if (connection.opened) Negotiation.forget(host)
      else if (isLate()) Deferred.doneUnsafe(lost, Exit.fail(answeredLate))
    }
    yield* Effect.forkScoped(untilLost(connection, host))
    const ready = Effect.gen(function* () {
      yield* shakeHands(connection, kind, host, way.known)
      if (isLate()) return yield* Effect.fail(answeredLate)
      if (requests.era === "legacy") yield* Ask.subscribe(requests, host.subscriptions)
      handshake.end()
      connection.opened = true
      // the client has asked: what it found out need not be found out again
      const isFound = requests.era === "legacy" && requests.offered !== undefined && !handshake.isAnsweredLate
      if (isFound) Negotiation.remember(host, yield* monotonicMillis)
    })
    yield* Effect.raceFirst(ready, Deferred.await(lost)).pipe(
      Effect.mapError((evidence): Negotiation.NotOpened => ({ evidence, handshake, ending: connection.ending }))
    )
    return {
      client,
      era: requests.era,
      stateful: true,
      separateAnswers: false,
      call: (traceparent) => kind.call(requests, client, traceparent),
      // `options` is HTTP's: the connector says that it does not support it
      probe: (rung) =>
        rung._tag === "options" ? Effect.succeed(Evidence.transportFailure("unknown")) : Ask.probe(requests, rung),
      refresh: Effect.succeed(false),
      list: (listed) => Effect.suspend(() => Ask.list(requests, kind.capabilities(client), settings.limits, listed)),
      listen: (filter, hearing) =>
        Listening.listen({ ...wire.listening, capabilities: () => kind.capabilities(client) }, filter, hearing)
    }
  })

const answeredLate = Evidence.transportFailure("timeout", {
  summary: "the answer to server/discover came late",
  output: []
})

interface Connection<out Client> {
  readonly client: Client
  readonly wire: Wire
  readonly child: ChildProcess.Child
  readonly stderr: Stderr.Stderr
  readonly watchdog: Scope.Closeable
  /** fails with what was seen of the end, where it came by itself */
  readonly lost: Deferred.Deferred<never, Evidence.Evidence>
  /** how the child ended, once it has */
  ending: ChildProcess.Ending | undefined
  /** from now on the host is told of the end, which before makes the opening fail */
  opened: boolean
  /** the end is known, or was brought about */
  ended: boolean
}

/** Starts the child; nothing is sent to it yet. */
const connect = Effect.fnUntraced(function* <Client>(
  options: Options<Client>,
  host: Connector.SessionHost,
  { patience }: Negotiation.Way
) {
  const { kind, readers, settings } = options
  const { command, limits, secrets, shutdown } = settings
  // first, since it is the user's and may fail
  const client = yield* kind.make
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never, void>()
  const wire = new Wire({
    host,
    limits,
    patience,
    now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
    fork: (effect) => void run(effect)
  })
  const stderr = new Stderr.Stderr(settings.stderr, secrets, readers)
  host.output(() => stderr.last)
  const child = yield* ChildProcess.start(command, wire.outbox, {
    stdout: wire.stdout,
    stderr: {
      push: (chunk) => {
        // a server that is silent on stdout, but reports its progress, is at work
        host.alive()
        stderr.push(chunk)
      },
      end: () => stderr.end()
    }
  }).pipe(Effect.catch((failure) => Effect.flatMap(SpawnFailure.ofCommand(failure, command.cwd), Effect.fail)))
  const watchdog = yield* Scope.make()
  if (settings.watchdog) {
    yield* Watchdog.watch(child.pid, shutdown).pipe(
      Scope.provide(watchdog),
      Effect.onError(() => child.end(shutdown)),
      Effect.mapError(SpawnFailure.ofWatchdog)
    )
  }
  const lost = yield* Deferred.make<never, Evidence.Evidence>()
  const connection: Connection<Client> = {
    client,
    wire,
    child,
    stderr,
    watchdog,
    lost,
    ending: undefined,
    opened: false,
    ended: false
  }
  return connection
})

/** `server/discover`, or `initialize` and the notification that follows it. */
const shakeHands = <Client>(
  connection: Connection<Client>,
  kind: ClientKind.ClientKind<Client>,
  host: Connector.SessionHost,
  known: "legacy" | undefined
): Effect.Effect<void, Evidence.Evidence> =>
  Effect.callback((resume) => {
    const { client, wire } = connection
    // one that could not connect closes, too: why it could not is known from its requests
    wire.onClosed = () => {
      if (connection.opened) lose(connection, host, "closed")
    }
    kind.connect(client, wire.transport, known).then(
      () => resume(Effect.void),
      () => resume(Effect.fail(wire.requests.handshakeFailure()))
    )
  })

/** The session ended by itself: whoever waits for something of it is told, once, and the host once it has the session. */
const lose = (
  connection: Connection<unknown>,
  host: Connector.SessionHost,
  reason: FailureReason.FailureReason,
  detail?: FailureDetail.FailureDetail
): void => {
  if (connection.ended) return
  connection.ended = true
  const evidence = Evidence.transportFailure(reason, detail)
  connection.wire.stop(evidence)
  Deferred.doneUnsafe(connection.lost, Exit.fail(evidence))
  if (connection.opened) host.lost(reason, detail)
}

/** Waits until the child is dead, can be reached no more, or has exceeded a limit. */
const untilLost = (connection: Connection<unknown>, host: Connector.SessionHost): Effect.Effect<void> => {
  const { child, stderr, wire } = connection
  const tell = (reason: FailureReason.FailureReason, what: string) =>
    Effect.sync(() => {
      const summary = connection.opened ? what : `${what} during the handshake`
      lose(connection, host, reason, { summary, output: stderr.last })
    })
  const died = Effect.gen(function* () {
    const ending = yield* child.ended
    connection.ending = ending
    yield* Effect.raceFirst(child.drained, finalOutput)
    yield* tell("process_exit", ending._tag === "Exited" ? `exit code ${ending.code}` : `signal ${ending.signal}`)
  })
  const unreachable = Effect.gen(function* () {
    yield* child.unreachable
    const ending = yield* Effect.timeoutOption(child.ended, exitFollows)
    // an exit that has been seen is what is told, however long this process takes over what is left in the pipes
    if (Option.isSome(ending)) return yield* Effect.never
    yield* tell("reset", "closed its pipes")
  })
  const exceeded = Effect.flatMap(Deferred.await(wire.overflowed), (what) => tell("overflow", what))
  return Effect.raceAllFirst([died, unreachable, exceeded])
}

/**
 * What a child wrote before it died, an answer perhaps, is still in its pipes when its exit is seen. The bound is for a
 * grandchild that holds them open; a death is to be told within 50 ms. A process that is held up for as long reads nothing
 * meanwhile: it does so in the turns that follow.
 */
const finalOutput = Effect.andThen(Effect.sleep("10 millis"), Effect.repeat(Effect.yieldNow, { times: 20 }))

/** Pipes that close are an exit, as a rule, whose status follows in a moment. */
const exitFollows = "1 second"

/** Ends the child, then whatever still waits for it. */
const end = <Client>(connection: Connection<Client>, { kind, settings }: Options<Client>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { child, client, watchdog, wire } = connection
    connection.ended = true
    wire.stop()
    yield* child.end(settings.shutdown)
    yield* Scope.close(watchdog, Exit.void)
    yield* Effect.promise(() => kind.close(client).catch(() => {}))
    yield* Effect.promise(() => wire.transport.close())
  })
