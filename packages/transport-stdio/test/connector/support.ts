/** The connector driven through its port, without the core: a host that remembers everything, and sessions on it. */
import { it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Connector, Evidence, FailureDetail, FailureReason, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Leftovers, ProcessGroups } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { StdioConnector } from "../../src/index.ts"

/** What `host.lost` was told, and when. */
export interface Loss {
  readonly reason: FailureReason.FailureReason
  readonly detail: FailureDetail.FailureDetail | undefined
  readonly at: number
}

/** A `SessionHost` that remembers. */
export interface Host extends Connector.SessionHost {
  readonly observed: Array<Evidence.Evidence>
  readonly notices: Array<{ readonly notice: KeepaliveEvent.Notice; readonly count: number }>
  readonly losses: Array<Loss>
  readonly chunks: () => number
  /** What the server wrote last, as the host may read it at any time. */
  readonly last: () => ReadonlyArray<string>
}

export const makeHost = (): Host => {
  const observed: Array<Evidence.Evidence> = []
  const notices: Host["notices"] = []
  const losses: Array<Loss> = []
  let chunks = 0
  let last: () => ReadonlyArray<string> = () => []
  return {
    observed,
    notices,
    losses,
    chunks: () => chunks,
    last: () => last(),
    alive: () => {
      chunks++
      return performance.now()
    },
    observe: (evidence) => void observed.push(evidence),
    lost: (reason, detail) => void losses.push({ reason, detail, at: performance.now() }),
    output: (read) => {
      last = read
    },
    notice: (notice, count = 1) => void notices.push({ notice, count }),
    listChanged: () => {},
    subscriptions: new Set()
  }
}

/** How many lines of garbage a host was told of. */
export const garbageOf = ({ notices }: Host): number =>
  notices.reduce((sum, { count, notice }) => sum + (notice === "garbage" ? count : 0), 0)

/** Waits until something holds; dies after 20 s. */
export const eventually = (predicate: () => boolean, what = "it"): Effect.Effect<void> =>
  Effect.suspend(() => (predicate() ? Effect.void : Effect.fail("not yet" as const))).pipe(
    Effect.retry({ while: () => true, schedule: Schedule.spaced("3 millis") }),
    Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(new Error(`${what} never held`)) }),
    Effect.orDie
  )

/** The same for what only an effect can tell. */
export const eventuallyEffect = (predicate: Effect.Effect<boolean>): Effect.Effect<void> =>
  predicate.pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("3 millis") }),
    Effect.timeout("20 seconds"),
    Effect.asVoid,
    Effect.orDie
  )

/**
 * A test of a promise, which leaves nothing behind: no process that was started, no socket, pipe or timer, and as many
 * file descriptors as before.
 */
export const promise = <A, E>(name: string, test: () => Effect.Effect<A, E, Scope.Scope>): void =>
  it.live(name, () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make()
      const fds = ProcessGroups.openFds()
      yield* Effect.scoped(test())
      yield* leftovers.check
      yield* eventually(() => ProcessGroups.openFds() <= fds, `${fds} descriptors as before`)
    })
  )

/** A session, its host, its child's process group, and a way to end it before the test does. */
export interface Opened {
  readonly session: Connector.Session<Client>
  readonly host: Host
  readonly group: number
  /** Gives the milliseconds that it took. */
  readonly close: Effect.Effect<number>
}

/** The group of the child that is started meanwhile. Watchdogs do not count. */
const groupSince = (before: ReadonlySet<number>): number | undefined =>
  ProcessGroups.children().find(({ command, pid }) => !before.has(pid) && !isWatchdog(command))?.pid

export const isWatchdog = (command: string): boolean => command.includes(" watchdog ")

const childrenNow = () => new Set(ProcessGroups.children().map(({ pid }) => pid))

/** Opens a session in a scope of its own, closed with the test's at the latest. */
export const open = Effect.fnUntraced(function* <R>(
  connector: Connector.Connector<Client, R>,
  host: Host = makeHost()
) {
  const { close, fiber, group } = yield* opening(connector, host)
  const session = yield* Fiber.join(fiber)
  return { session, host, group, close } satisfies Opened
})

/** Begins to open a session; the child runs already. Interrupting the fiber and closing is what the core does. */
export const opening = Effect.fnUntraced(function* <C, R>(
  connector: Connector.Connector<C, R>,
  host: Host = makeHost()
) {
  const before = childrenNow()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const fiber = yield* connector
    .open(host)
    .pipe(Effect.provideService(Scope.Scope, scope), Effect.forkIn(scope, { startImmediately: true }))
  // it may have ended already, or not even started
  const isOver = () => host.losses.length > 0 || fiber.pollUnsafe() !== undefined
  yield* eventually(() => groupSince(before) !== undefined || isOver(), "a child")
  const close = Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(Scope.close(scope, Exit.void), () => performance.now() - began)
  })
  return { fiber, host, group: groupSince(before) ?? 0, close }
})

/** What the opening of a session failed with that does not come to be; with `meanwhile` in its group's midst. */
export const failing = Effect.fnUntraced(function* <C, R>(
  connector: Connector.Connector<C, R>,
  meanwhile: (group: number) => void = () => {},
  remembering: Host = makeHost()
) {
  const { close, fiber, group, host } = yield* opening(connector, remembering)
  meanwhile(group)
  const evidence = yield* Effect.flip(Fiber.join(fiber))
  yield* close
  if (host.losses.length > 0) yield* Effect.die(new Error("the loss of what never was a session was told"))
  return evidence._tag === "TransportFailure" ? evidence : { reason: evidence._tag, detail: undefined }
})

/** A connector for one of the testkit's servers. */
export const connectorOf = (
  { args, command }: { readonly command: string; readonly args: ReadonlyArray<string> },
  options: Omit<StdioConnector.Options, "command" | "args"> = {}
): StdioConnector.StdioConnector => StdioConnector.make({ command, args, ...options })

interface Called {
  readonly name: string
  readonly arguments?: Record<string, unknown>
}

/** Calls a tool through a session's view: its text or its error, its records, and how long it took. */
export const call = Effect.fnUntraced(function* (session: Connector.Session<Client>, called: Called) {
  const began = performance.now()
  const { client, requests } = session.call()
  const made = Effect.tryPromise({
    try: (signal) => client.callTool(called, undefined, { signal }),
    catch: (error) => error
  })
  const result = yield* Effect.exit(made)
  return { result, text: Exit.isSuccess(result) ? textOf(result.value) : "", requests, took: performance.now() - began }
})

const textOf = (answer: object): string => {
  const content = "content" in answer ? answer.content : []
  const first: unknown = Array.isArray(content) ? content[0] : undefined
  return typeof first === "object" && first !== null && "text" in first ? String(first.text) : ""
}

/** Collects what the servers of a connector write to stderr, from now until the test ends. */
export const collectStderr = Effect.fnUntraced(function* (connector: StdioConnector.StdioConnector) {
  const lines: Array<string> = []
  yield* Effect.forkScoped(
    Stream.runForEach(connector.stderr, (line) => Effect.sync(() => void lines.push(line))),
    { startImmediately: true }
  )
  return lines
})

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** Bytes on the heap and outside of it, garbage collected. */
export const memory = (): number => {
  // what is freed outside of the heap is counted with the next one only
  for (let round = 0; round < 2; round++) collectGarbage()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

/** Runs something, and gives by how many bytes the memory was larger meanwhile than before, looking often. */
export const growth = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const before = memory()
  let most = before
  const look = Effect.sync(() => {
    most = Math.max(most, memory())
  })
  const looking = yield* Effect.forkChild(Effect.repeat(look, Schedule.spaced("200 millis")))
  const value = yield* effect
  yield* Fiber.interrupt(looking)
  yield* look
  return { value, grown: most - before }
})

export const measured = (name: string, value: number, unit = "ms"): void =>
  console.log(`measured: ${name}: ${value.toFixed(1)} ${unit}`)
