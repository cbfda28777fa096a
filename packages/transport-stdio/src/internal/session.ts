/**
 * One session: a child process and the client that talks to it. It ends with the child, and the child with it.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { type Connector, Evidence, type FailureDetail, type FailureReason } from "@vmcp-keepalive/core"
import { Ask, CallView } from "@vmcp-keepalive/sdk-client"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { FileSystem } from "effect/FileSystem"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as ChildProcess from "./childProcess.ts"
import type { Settings } from "./settings.ts"
import * as Spawn from "./spawnFailure.ts"
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
    const line = yield* Effect.acquireRelease(connect(options, host), end(options.settings))
    const { client, transport } = line
    const { requests } = transport
    yield* Effect.forkScoped(watch(line, host))
    yield* shakeHands(line, host)
    yield* Ask.subscribe(requests, client, host.subscriptions)
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

interface Line {
  readonly client: Client
  readonly transport: StdioTransport
  readonly child: ChildProcess.Child
  readonly stderr: Stderr.Stderr
  readonly watchdog: Scope.Closeable
  connected: boolean
  /** the host knows of the end, or brought it about */
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
  const reader: ChildProcess.Reader = {
    stdout: transport.received,
    stderr: (chunk) => {
      // a server that is silent on stdout, but reports its progress, is at work
      host.alive()
      stderr.push(chunk)
    }
  }
  host.output(() => stderr.last)
  const child = yield* Effect.mapError(ChildProcess.start(command, shutdown, reader), Spawn.evidence)
  transport.attach(child.write)
  const watchdog = yield* Scope.make()
  if (settings.watchdog) {
    yield* Watchdog.watch(child.pid, shutdown).pipe(
      Scope.provide(watchdog),
      Effect.onError(() => child.end(shutdown)),
      Effect.mapError(Spawn.evidence)
    )
  }
  const line: Line = { client, transport, child, stderr, watchdog, connected: false, ended: false }
  return line
})

/** `initialize`, and the notification that follows it. */
const shakeHands = (line: Line, host: Connector.SessionHost): Effect.Effect<void, Evidence.Evidence> =>
  Effect.callback((resume) => {
    const { client, transport } = line
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
    transport.onclose = () => {
      transport.requests.close()
      if (line.connected) tell(line, host, "closed")
    }
    client.connect(transport, CallView.patient()).then(
      () => {
        line.connected = true
        resume(Effect.void)
      },
      () => resume(Effect.fail(transport.requests.handshakeFailure()))
    )
  })

/** Tells the host that the session is lost, once. */
const tell = (
  line: Line,
  host: Connector.SessionHost,
  reason: FailureReason.FailureReason,
  detail?: FailureDetail.FailureDetail
): void => {
  if (line.ended) return
  line.ended = true
  host.lost(reason, detail)
}

/** Tells the host that the child is dead, or can be reached no more. */
const watch = (line: Line, host: Connector.SessionHost): Effect.Effect<void> => {
  const { child, stderr } = line
  const lost = (reason: FailureReason.FailureReason, what: string) =>
    Effect.sync(() => {
      stderr.end()
      const detail: FailureDetail.FailureDetail = {
        summary: line.connected ? what : `${what} during the handshake`,
        output: stderr.last
      }
      tell(line, host, reason, detail)
    })
  const died = Effect.gen(function* () {
    const ending = yield* child.ended
    yield* Effect.timeoutOption(child.drained, lastWords)
    yield* lost("process_exit", ending._tag === "Exited" ? `exit code ${ending.code}` : `signal ${ending.signal}`)
  })
  const unreachable = Effect.gen(function* () {
    yield* child.deaf
    yield* Effect.sleep(exitFollows)
    yield* lost("reset", "closed its pipes")
  })
  return Effect.raceFirst(died, unreachable)
}

/**
 * What a child wrote before it died, an answer perhaps, is still in its pipes when its exit is seen. The bound is for a
 * grandchild that holds them open; a death is to be told within 50 ms.
 */
const lastWords = "20 millis"

/** Pipes that close are an exit, as a rule, whose status follows in a moment. */
const exitFollows = "1 second"

/** Ends the child, then whatever still waits for it. */
const end =
  ({ shutdown }: Settings) =>
  (line: Line): Effect.Effect<void, never, FileSystem> =>
    Effect.gen(function* () {
      const { child, client, transport, watchdog } = line
      line.ended = true
      transport.stop()
      yield* child.end(shutdown)
      yield* Scope.close(watchdog, Exit.void)
      yield* Effect.promise(() => client.close().catch(() => {}))
    })
