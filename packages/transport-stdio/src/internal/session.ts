/**
 * One session: a child process and the client that talks to it. It ends with the child, and the child with it.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { type Connector, Evidence, type FailureDetail, type FailureReason } from "@vmcp-keepalive/core"
import { Ask, CallView } from "@vmcp-keepalive/sdk-client"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { FileSystem } from "effect/FileSystem"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as ChildProcess from "./childProcess.ts"
import type { Settings } from "./settings.ts"
import * as SpawnFailure from "./spawnFailure.ts"
import * as Stderr from "./stderr.ts"
import { StdioTransport } from "./transport.ts"
import * as Watchdog from "./watchdog.ts"

/** What a session is opened with. */
export interface Options {
  readonly settings: Settings
  readonly client: () => Client
  readonly readers: Stderr.Readers
}

/** Opens a session; it ends with the scope. */
export const open = (
  options: Options,
  host: Connector.SessionHost
): Effect.Effect<Connector.Session<Client>, Evidence.Evidence, ChildProcessSpawner | FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const connection = yield* Effect.acquireRelease(connect(options, host), end(options.settings))
    const { client, lost, transport } = connection
    const { requests } = transport
    yield* Effect.forkScoped(untilLost(connection, host))
    const ready = Effect.gen(function* () {
      yield* shakeHands(connection, host)
      yield* Ask.subscribe(requests, client, host.subscriptions)
      connection.opened = true
    })
    yield* Effect.raceFirst(ready, Deferred.await(lost))
    return {
      client,
      era: "legacy",
      stateful: true,
      call: (traceparent) => CallView.call(requests, client, traceparent),
      // `options` is HTTP's: the connector says that it does not support it
      probe: (rung) =>
        rung._tag === "options"
          ? Effect.succeed(Evidence.transportFailure("unknown"))
          : Ask.probe(requests, client, rung),
      refresh: Effect.void,
      tools: Ask.tools(requests, client)
    }
  })

interface Connection {
  readonly client: Client
  readonly transport: StdioTransport
  readonly child: ChildProcess.Child
  readonly stderr: Stderr.Stderr
  readonly watchdog: Scope.Closeable
  /** fails with what was seen of the end, where it came by itself */
  readonly lost: Deferred.Deferred<never, Evidence.Evidence>
  /** from now on the host is told of the end, which before makes the opening fail */
  opened: boolean
  /** the end is known, or was brought about */
  ended: boolean
}

/** Starts the child; nothing is sent to it yet. */
const connect = Effect.fnUntraced(function* (options: Options, host: Connector.SessionHost) {
  const { readers, settings } = options
  const { command, maxLineBytes, shutdown } = settings
  // first, since it is the user's and may fail
  const client = options.client()
  const transport = new StdioTransport(host, maxLineBytes)
  const secrets = [...command.args, ...Object.values(command.env)].filter((text) => Redacted.isRedacted(text))
  const stderr = new Stderr.Stderr(settings.stderr, secrets, readers)
  host.output(() => stderr.last)
  const child = yield* ChildProcess.start(command, shutdown, {
    stdout: transport.stdout,
    stderr: {
      push: (chunk) => {
        // a server that is silent on stdout, but reports its progress, is at work
        host.alive()
        stderr.push(chunk)
      },
      end: () => stderr.end()
    }
  }).pipe(Effect.mapError(SpawnFailure.ofCommand))
  transport.attach(child.write)
  const watchdog = yield* Scope.make()
  if (settings.watchdog) {
    yield* Watchdog.watch(child.pid, shutdown).pipe(
      Scope.provide(watchdog),
      Effect.onError(() => child.end(shutdown)),
      Effect.mapError(SpawnFailure.ofWatchdog)
    )
  }
  const lost = yield* Deferred.make<never, Evidence.Evidence>()
  const connection: Connection = { client, transport, child, stderr, watchdog, lost, opened: false, ended: false }
  return connection
})

/** `initialize`, and the notification that follows it. */
const shakeHands = (connection: Connection, host: Connector.SessionHost): Effect.Effect<void, Evidence.Evidence> =>
  Effect.callback((resume) => {
    const { client, transport } = connection
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
    transport.onclose = () => {
      if (connection.opened) lose(connection, host, "closed")
    }
    client.connect(transport, CallView.patient()).then(
      () => resume(Effect.void),
      () => resume(Effect.fail(transport.requests.handshakeFailure()))
    )
  })

/** The session ended by itself: whoever waits for something of it is told, once, and the host once it has the session. */
const lose = (
  connection: Connection,
  host: Connector.SessionHost,
  reason: FailureReason.FailureReason,
  detail?: FailureDetail.FailureDetail
): void => {
  if (connection.ended) return
  connection.ended = true
  const evidence = Evidence.transportFailure(reason, detail)
  connection.transport.stop(evidence)
  Deferred.doneUnsafe(connection.lost, Exit.fail(evidence))
  if (connection.opened) host.lost(reason, detail)
}

/** Waits until the child is dead, or can be reached no more. */
const untilLost = (connection: Connection, host: Connector.SessionHost): Effect.Effect<void> => {
  const { child, stderr } = connection
  const tell = (reason: FailureReason.FailureReason, what: string) =>
    Effect.sync(() => {
      const summary = connection.opened ? what : `${what} during the handshake`
      lose(connection, host, reason, { summary, output: stderr.last })
    })
  const died = Effect.gen(function* () {
    const ending = yield* child.ended
    yield* Effect.raceFirst(child.drained, finalOutput)
    yield* tell("process_exit", ending._tag === "Exited" ? `exit code ${ending.code}` : `signal ${ending.signal}`)
  })
  const unreachable = Effect.gen(function* () {
    yield* child.unreachable
    yield* Effect.sleep(exitFollows)
    yield* tell("reset", "closed its pipes")
  })
  return Effect.raceFirst(died, unreachable)
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
const end =
  ({ shutdown }: Settings) =>
  (connection: Connection): Effect.Effect<void, never, FileSystem> =>
    Effect.gen(function* () {
      const { child, client, transport, watchdog } = connection
      connection.ended = true
      transport.stop()
      yield* child.end(shutdown)
      yield* Scope.close(watchdog, Exit.void)
      yield* Effect.promise(() => client.close().catch(() => {}))
    })
