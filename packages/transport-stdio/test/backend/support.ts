/** A backend on a real server in a child process, with everything it said and every process that was started for it. */
import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { NodeFileSystem } from "@effect/platform-node"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import {
  Backend,
  type BackendError,
  type ConnectionState,
  type Connector,
  KeepaliveEvent,
  type KeepalivePolicy
} from "@vmcp-keepalive/core"
import { Leftovers, type McpServer, ProcessGroups, type StdioServers } from "@vmcp-keepalive/testkit"
import { type Duration, Effect, type FileSystem, Schedule, type Scope, Stream } from "effect"
import type { ChildProcess } from "node:child_process"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { StdioConnector } from "../../src/index.ts"

// --------------------------------------------------------------------------------------------------------- a promise

/** What a test may use. */
export type Surroundings = FileSystem.FileSystem | Scope.Scope

export type Promised = <E>(name: string, body: () => Effect.Effect<unknown, E, Surroundings>) => void

/** A test on the real clock, after whose scope no process, timer, pipe or descriptor of it is left. */
export const promise: Promised = (name, body) => it.live(name, () => leavingNothing(body()))

/** For the tests of the `describe` in which it is called, which mostly wait: all at once, and nothing is left after them. */
export const together = (): Promised => {
  let check: Check = Effect.void
  beforeAll(async () => {
    check = await Effect.runPromise(remember())
  })
  afterAll(() => Effect.runPromise(check))
  return (name, body) =>
    it.live(name, () => Effect.scoped(Effect.provide(body(), NodeFileSystem.layer)), { concurrent: true })
}

/** Fails where something is left. */
export const leavingNothing = <E>(body: Effect.Effect<unknown, E, Surroundings>, within?: Duration.Input) =>
  Effect.flatMap(remember(within), (check) =>
    Effect.andThen(Effect.scoped(Effect.provide(body, NodeFileSystem.layer)), check)
  )

type Check = Effect.Effect<void, Leftovers.LeftoversError>

/**
 * What is open now; the check fails where there is more. Whoever ends a child waits for it: only handles close later. A timer of
 * vitest's that is pending at first, and not in the end, would hide one that is left.
 */
const remember = (within: Duration.Input = "1 second"): Effect.Effect<Check> =>
  Effect.andThen(
    untilNoTimer,
    Effect.map(Leftovers.make({ within }), (leftovers) => {
      const before = ProcessGroups.openFds()
      const more = Effect.sync(() => ProcessGroups.openFds() - before)
      return Effect.gen(function* () {
        yield* leftovers.check
        yield* Effect.repeat(more, {
          until: (count) => count <= 0,
          schedule: Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: within }))
        })
        assert.isAtMost(yield* more, 0, "file descriptors are left")
      })
    })
  )

/** Not for ever: there may be one of another test's. */
const untilNoTimer = Effect.andThen(
  Effect.yieldNow,
  Effect.sync(() => process.getActiveResourcesInfo().includes("Timeout"))
).pipe(
  Effect.repeat({
    until: (isPending) => !isPending,
    schedule: Schedule.spaced("10 millis").pipe(Schedule.upTo({ duration: "500 millis" }))
  })
)

// ---------------------------------------------------------------------------------------------------------- policies

/** No probe comes between; what is tested happens without. */
export const calm: KeepalivePolicy.Options = {
  interval: "1 hour",
  stableAfter: 0,
  backoff: { initial: "50 millis", factor: 2, cap: "1 second" },
  circuit: { failures: 3, openFor: "500 millis" }
}

/** Probes as often as may be; long enough for a loaded machine to answer one. */
export const quick: KeepalivePolicy.Options = {
  ...calm,
  interval: "1 second",
  timeout: "300 millis",
  confirmInterval: "200 millis",
  failureThreshold: 2
}

/** Within which `quick` notices a server that is silent, in milliseconds: the bound of the design. */
export const quickBound = 1000 * 1.1 + 300 + (2 - 1) * (200 + 300)

/** For children that do not end by themselves. */
export const quickShutdown = { end: "200 millis", term: "200 millis", kill: "1 second" } as const

/** How long a test waits for what must happen. */
const patience = "20 seconds"

// ---------------------------------------------------------------------------------------------------------- a backend

/** An event, and when it was seen, on the clock of `performance.now()`. */
export type Seen = KeepaliveEvent.KeepaliveEvent & { readonly seenAt: number }

/** A process that was started for the backend, the leader of a group. */
export interface Spawn {
  readonly pid: number
  readonly at: number
  /** what lived then of the groups of those before it, as the kernel lists it: none, if the transport is exclusive */
  readonly others: ReadonlyArray<ProcessGroups.ProcessInfo>
}

export interface Kept<C = Client, Result = unknown> {
  readonly backend: Backend.Backend<C>
  readonly connector: StdioConnectorOf<C>
  readonly events: ReadonlyArray<Seen>
  readonly spawns: ReadonlyArray<Spawn>
  /** groups that a spawn must not meet alive either */
  readonly watched: Set<number>
  /** the child that was started last */
  readonly pid: () => number
  /** Sends a signal to the child alone, or to another process; when it was sent. */
  readonly signal: (name: NodeJS.Signals, pid?: number) => number
  readonly call: (call: McpServer.Call, options?: Backend.UseOptions) => Effect.Effect<Result, BackendError.CallError>
  /** waits for a state, the current one or one to come */
  readonly until: (
    predicate: (state: ConnectionState.ConnectionState) => boolean
  ) => Effect.Effect<ConnectionState.ConnectionState>
  /** waits for an event of this kind, one that was or one to come; not before a point in time */
  readonly event: <Tag extends Seen["_tag"]>(tag: Tag, since?: number) => Effect.Effect<Extract<Seen, { _tag: Tag }>>
}

type StdioConnectorOf<C> = Connector.Connector<C> & Pick<StdioConnector.StdioConnector, "stderr">

interface Command {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

export interface Options<C = Client, More = Partial<StdioConnector.Options>> {
  /** laid over `calm`, unless it is the library's own */
  readonly policy?: KeepalivePolicy.Options | "default"
  readonly connector?: More
  readonly setup?: (client: C) => Effect.Effect<unknown, unknown>
  /** default: returns once it is connected */
  readonly await?: boolean
}

/** Keeps servers alive through the connectors that `make` makes. */
export const keeping = <C, Result, More>(
  make: (command: Command, more: More | undefined) => StdioConnectorOf<C>,
  callTool: (client: C, call: McpServer.Call, signal: AbortSignal) => Promise<Result>
) =>
  Effect.fnUntraced(function* (
    server: Pick<StdioServers.StdioServer, "name" | "command" | "args">,
    options: Options<C, More> = {}
  ) {
    const events: Array<Seen> = []
    const spawns: Array<Spawn> = []
    const watched = new Set<number>()
    const { args, command, name } = server
    const connector = make({ command, args }, options.connector)
    yield* record(server, spawns, watched)
    const backend = yield* Backend.make({
      id: name,
      connector,
      policy: options.policy === "default" ? {} : { ...calm, ...options.policy },
      ...(options.setup === undefined ? {} : { setup: options.setup })
    }).pipe(
      Effect.provide(KeepaliveEvent.layerObserver((event) => events.push({ ...event, seenAt: performance.now() })))
    )
    if (options.await !== false) yield* Effect.orDie(backend.awaitConnected)
    const pid = () => spawns.at(-1)?.pid ?? Number.NaN
    const kept: Kept<C, Result> = {
      backend,
      connector,
      events,
      spawns,
      watched,
      pid,
      signal: (signal, target = pid()) => {
        const at = performance.now()
        ProcessGroups.signal(target, signal)
        return at
      },
      call: (call, useOptions) => backend.use((client, signal) => callTool(client, call, signal), useOptions),
      until: (predicate) =>
        backend.changes.pipe(
          Stream.filter(predicate),
          Stream.runHead,
          Effect.flatMap((state) => Effect.orDie(Effect.fromOption(state))),
          Effect.timeout(patience),
          Effect.orDie
        ),
      event: (tag, since = 0) =>
        eventually(
          Effect.sync(() => events.find((event) => isA(tag)(event) && event.seenAt >= since)),
          isA(tag)
        )
    }
    return kept
  })

/** Keeps a server alive. */
export const keep = keeping(
  (command, more: Partial<StdioConnector.Options> | undefined) => StdioConnector.make({ ...command, ...more }),
  (client, call, signal) => client.callTool(call, undefined, { signal })
)

const isA =
  <Tag extends Seen["_tag"]>(tag: Tag) =>
  (event: Seen | undefined): event is Extract<Seen, { _tag: Tag }> =>
    event?._tag === tag

/** Tells what of that command is started until the scope closes, and what lived at that moment. */
const record = (
  { args, command }: Pick<StdioServers.StdioServer, "command" | "args">,
  spawns: Array<Spawn>,
  watched: ReadonlySet<number>
): Effect.Effect<void, never, Scope.Scope> => {
  const line = [command, ...args].join("\n")
  const listener = (message: unknown) => {
    const { process: child } = message as { readonly process: ChildProcess }
    const others = [...spawns.map(({ pid }) => pid), ...watched].flatMap(ProcessGroups.members)
    child.once("spawn", () => {
      const { pid, spawnargs } = child
      if (pid !== undefined && spawnargs.join("\n") === line) spawns.push({ pid, at: performance.now(), others })
    })
  }
  return Effect.acquireRelease(
    Effect.sync(() => subscribe("child_process", listener)),
    () => Effect.sync(() => unsubscribe("child_process", listener))
  )
}

// --------------------------------------------------------------------------------------------------- what one looks at

/** Looks until it holds, for what says nothing when it changes: a process, a log. */
export function eventually<A, B extends A, E, R>(
  look: Effect.Effect<A, E, R>,
  holds: (value: A) => value is B
): Effect.Effect<B, E, R>
export function eventually<A, E, R>(look: Effect.Effect<A, E, R>, holds: (value: A) => boolean): Effect.Effect<A, E, R>
export function eventually<A, E, R>(look: Effect.Effect<A, E, R>, holds: (value: A) => boolean) {
  return look.pipe(
    Effect.repeat({ until: holds, schedule: Schedule.spaced("2 millis") }),
    Effect.timeout(patience),
    Effect.catchTag("TimeoutError", () =>
      Effect.flatMap(look, (value) => Effect.die(new Error(`still ${show(value)}`)))
    )
  )
}
const show = (value: unknown) => JSON.stringify(value)

export const is =
  (...tags: ReadonlyArray<ConnectionState.ConnectionState["_tag"]>) =>
  (state: ConnectionState.ConnectionState) =>
    tags.includes(state._tag)

/** Connected on a session that is younger than the given one. */
export const isRenewed =
  (generation = 1) =>
  (state: ConnectionState.ConnectionState) =>
    state._tag === "Connected" && state.generation > generation

/** The state changes among the events, as words. */
export const path = (events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) =>
  events.flatMap((event) => (event._tag === "StateChanged" ? [event.to._tag] : []))

/** The events of one kind. */
export const only = <Tag extends Seen["_tag"]>(events: ReadonlyArray<Seen>, tag: Tag) => events.filter(isA(tag))

/** The text of a tool's answer. */
export const text = (result: unknown) => JSON.stringify(result)

/** Waits until the server works on a call that it had not begun at that length of its log. */
export const executing = (server: StdioServers.StdioServer, count = 1) =>
  eventually(server.executions, (executions) => executions.length >= count)

/** The members of a group that are nobody's parent in it: behind a wrapper, the real server. */
export const leavesOf = (group: number) => {
  const members = ProcessGroups.members(group)
  return members.filter(({ pid }) => members.every(({ parent }) => parent !== pid))
}

/** The same server, started by a line of shell. */
export const inShell = <Server extends StdioServers.StdioServer>(
  server: Server,
  line: (server: string) => string
): Server => ({
  ...server,
  name: `${server.name}, sh`,
  command: "sh",
  args: ["-c", line([server.command, ...server.args].map(quoted).join(" "))]
})
const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
