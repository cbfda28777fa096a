/**
 * Proves that nothing is left of what ran since a point in time: no process that this one started, directly or not, and
 * no socket, pipe, server or timer of this process. Needs /proc, so Linux.
 */
import { Effect, Schedule, Schema } from "effect"
import type { Duration } from "effect"
import * as Processes from "./internal/processes.ts"

export class LeftoversError extends Schema.TaggedError<LeftoversError>()("LeftoversError", {
  reason: Schema.Literals(["leftovers"]),
  /** One line for each: `process 4711 node server.js`, `2 x TCPSocketWrap`. */
  found: Schema.Array(Schema.String)
}) {
  override get message() {
    return `left over: ${this.found.join(", ")}`
  }
}

export interface Options {
  /** How long closing may take, since sockets and processes end asynchronously. Default: 3 seconds. */
  readonly within?: Duration.Input
  /** Names of `process.getActiveResourcesInfo()` that do not count. Default: none. */
  readonly ignore?: ReadonlyArray<string>
}

export interface Leftovers {
  /** What is there now and was not when this was made. */
  readonly list: Effect.Effect<ReadonlyArray<string>>
  /** Waits until nothing is, at most `within`. */
  readonly check: Effect.Effect<void, LeftoversError>
}

/** Resources that stand for something that was opened; the others are single operations under way. */
const lasting = /Socket|Server|Pipe|Process|Timeout|TTY|UDP|Worker|FSEvent|TLS/

const resources = (): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const name of process.getActiveResourcesInfo())
    if (lasting.test(name)) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

/** Live descendants, and what they left when they died and were no parent any more. */
const processes = (watchMark: string): ReadonlyArray<Processes.ProcessInfo> => {
  const everything = Processes.live()
  const found = new Set([...Processes.startedBy(watchMark), ...Processes.using()])
  const family = new Set([process.pid])
  // A parent may have the higher pid, so until nothing is added.
  for (let size = 0; size !== family.size;) {
    size = family.size
    for (const { parent, pid } of everything) if (family.has(parent)) family.add(pid)
  }
  return everything.filter(({ pid }) => pid !== process.pid && (family.has(pid) || found.has(pid)))
}

/** In a turn of its own: within the one of a timer, that of a pause between two looks, that timer would be found as well. */
const afterTimers = Effect.yieldNow

/** Remembers what is there now. */
export const make = (options: Options = {}): Effect.Effect<Leftovers> =>
  Effect.map(afterTimers, () => {
    const mark = Processes.watch()
    const before = { resources: resources(), pids: new Set(processes(mark).map(({ pid }) => pid)) }
    const list = Effect.sync(() => [
      ...processes(mark)
        .filter(({ pid }) => !before.pids.has(pid))
        .map(({ command, pid }) => `process ${pid} ${command}`),
      ...[...resources()].flatMap(([name, count]) => {
        const more = count - (before.resources.get(name) ?? 0)
        return more > 0 && options.ignore?.includes(name) !== true ? [`${more} x ${name}`] : []
      })
    ])
    const check = Effect.andThen(afterTimers, list).pipe(
      Effect.flatMap((found) =>
        found.length === 0 ? Effect.void : Effect.fail(new LeftoversError({ reason: "leftovers", found }))
      ),
      Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: options.within ?? "3 seconds" })))
    )
    return { list, check }
  })
