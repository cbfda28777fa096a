/** The death of the host, of which no shutdown can run: what becomes of the servers, with a watchdog and without one. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Leftovers, ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, type Scope } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Ready, Wanted } from "./host.ts"

const program = fileURLToPath(new URL("host.ts", import.meta.url))

interface Host {
  /** The process group of each server. */
  readonly groups: ReadonlyArray<number>
  /** And of its watchdog, where it has one. */
  readonly watchdogs: ReadonlyArray<number>
  /** SIGKILL; gives the time of it. */
  readonly kill: Effect.Effect<number>
}

/** Starts a host that opens a session with each server. What it leaves is killed with the test. */
const start = (...wanted: ReadonlyArray<Wanted>): Effect.Effect<Host, never, Scope.Scope> =>
  Effect.gen(function* () {
    let started: Ready = []
    const host = yield* Effect.acquireRelease(
      Effect.sync(() => fork(program, [JSON.stringify(wanted)])),
      (host) =>
        Effect.callback<void>((resume) => {
          for (const pid of started.flat()) ProcessGroups.signal(-pid, "SIGKILL")
          if (host.exitCode !== null || host.signalCode !== null) return resume(Effect.void)
          host.once("exit", () => resume(Effect.void))
          host.kill("SIGKILL")
        })
    )
    started = yield* Effect.callback<Ready>((resume) => {
      host.once("message", (ready: Ready) => resume(Effect.succeed(ready)))
      host.once("exit", (code) => resume(Effect.die(new Error(`the host ended with ${code}`))))
    })
    return {
      groups: started.map(([server = 0]) => server),
      watchdogs: started.flatMap(([, watchdog = []]) => watchdog),
      kill: Effect.sync(() => {
        const at = performance.now()
        host.kill("SIGKILL")
        return at
      })
    }
  })

/** Waits until the group is gone; gives the time of it. */
const gone = (group: number | undefined): Effect.Effect<number> =>
  ProcessGroups.awaitGone(group ?? 0).pipe(
    Effect.timeout("15 seconds"),
    Effect.orDie,
    Effect.map(() => performance.now())
  )

const isAlive = (group: number | undefined) => ProcessGroups.members(group ?? 0).length > 0

/** Long bounds, so that nothing but the end of stdin can be what ends a server soon. */
const long = { end: "1 hour", term: "1 hour" } as const
/** In whole seconds: the `sleep` of POSIX knows no others. */
const short = { end: "1 second", term: "1 second" } as const
const whole = 2000

const promise = (name: string, test: () => Effect.Effect<void, never, Scope.Scope>) =>
  it.live(name, () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make()
      yield* Effect.scoped(test())
      yield* leftovers.check
    })
  )

describe("when the host is killed", () => {
  promise("a good server is gone soon after, with all of its wrapper, whether a watchdog watches over it or not", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const { groups, kill, watchdogs } = yield* start(
        { ...server, shutdown: long },
        { ...StdioServers.throughShell(server), shutdown: long },
        { ...server, shutdown: short, watchdog: true }
      )
      expect(groups.map(isAlive)).toEqual([true, true, true])
      expect(watchdogs.map(isAlive)).toEqual([true])
      const killed = yield* kill
      for (const group of groups) expect((yield* gone(group)) - killed).toBeLessThan(whole)
      for (const watchdog of watchdogs) yield* gone(watchdog)
    })
  )

  promise("a server that ignores the end of its stdin lives on, and goes where a watchdog watches over it", () =>
    Effect.gen(function* () {
      const stubborn = yield* StdioServers.scripted({ ignoreEof: true, ignoreTerm: true })
      const { groups, kill, watchdogs } = yield* start(
        { ...stubborn, shutdown: short },
        { ...stubborn, shutdown: short, watchdog: true },
        { ...StdioServers.throughShell(stubborn), shutdown: short, watchdog: true }
      )
      const [unwatched, ...watched] = groups
      expect(watchdogs).toHaveLength(2)
      const killed = yield* kill
      for (const group of watched) expect((yield* gone(group)) - killed).toBeGreaterThanOrEqual(whole)
      for (const watchdog of watchdogs) yield* gone(watchdog)
      expect(isAlive(unwatched)).toBe(true)
    })
  )

  promise("a watchdog sends SIGTERM before SIGKILL, and ends a frozen server with what it has started", () =>
    Effect.gen(function* () {
      const shutdown = { end: "1 second", term: "2 seconds" } as const
      const { args, command } = yield* StdioServers.scripted({ ignoreEof: true })
      const started = yield* StdioServers.scripted({ grandchild: "group" })
      const { groups, kill, watchdogs } = yield* start(
        { command, args, shutdown, watchdog: true },
        { ...started, shutdown, watchdog: true }
      )
      const [heeding, frozen = 0] = groups
      expect(ProcessGroups.members(frozen)).toHaveLength(2)
      ProcessGroups.signal(-frozen, "SIGSTOP")
      const killed = yield* kill
      const took = (yield* gone(heeding)) - killed
      expect(took).toBeGreaterThanOrEqual(1000)
      expect(took).toBeLessThan(3000)
      yield* gone(frozen)
      for (const watchdog of watchdogs) yield* gone(watchdog)
    })
  )
})
