/** Nothing of a backend is left after its scope, whatever it was doing; and the guard of every test here sees what is. */
import { assert, it } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Clock, Effect, Fiber } from "effect"
import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { counting } from "./clock.ts"
import { executing, is, keep, leavingNothing, promise, quick, quickShutdown } from "./support.ts"

const { everything, scripted } = StdioServers

promise("after the scope of a backend in every state no process, timer, descriptor or sleeping fiber is left", () =>
  Effect.flatMap(counting, ({ clock, sleeping }) =>
    Effect.gen(function* () {
      const connector = { shutdown: quickShutdown }
      const calls: Array<Fiber.Fiber<unknown, unknown>> = []
      const groups: Array<() => ReadonlyArray<ProcessGroups.ProcessInfo>> = []
      const make = (script: StdioServers.Script, options: Parameters<typeof keep>[1] = {}) =>
        Effect.gen(function* () {
          const server = yield* scripted(script)
          const kept = yield* keep(server, { connector, ...options })
          groups.push(() => kept.spawns.flatMap(({ pid }) => ProcessGroups.members(pid)))
          calls.push(yield* Effect.forkDetach(kept.call(server.slow(60))))
          return { server, kept }
        })
      const openFor = { circuit: { failures: 1, openFor: "1 hour" } } as const
      const states = yield* Effect.scoped(
        Effect.gen(function* () {
          const lazy = yield* keep(yield* everything, { await: false, policy: { connect: "lazy" } })
          const connecting = yield* make({ startDelay: 60_000, ignoreEof: true }, { await: false })
          const connected = yield* make({ grandchild: "detached" })
          yield* executing(connected.server)
          const frozen = yield* make({ ignoreTerm: true }, { policy: { ...quick, failureThreshold: 100 } })
          frozen.kept.signal("SIGSTOP")
          const backoff = { initial: "1 hour", cap: "1 hour" } as const
          const disconnected = yield* make({ exit: 1 }, { await: false, policy: { backoff } })
          const open = yield* make({ exit: 1 }, { await: false, policy: openFor })
          const isolated = yield* make({ ignoreEof: true, ignoreTerm: true })
          yield* isolated.kept.backend.isolate
          yield* frozen.kept.until(is("Unhealthy"))
          yield* disconnected.kept.until(is("Disconnected"))
          yield* open.kept.until(is("CircuitOpen"))
          // one fiber sleeps for the deadlines of all of them, and the check sees it
          assert.isAtLeast(sleeping(), 1)
          const all = [connecting, connected, frozen, disconnected, open, isolated]
          return yield* Effect.forEach([lazy, ...all.map(({ kept }) => kept)], ({ backend }) => backend.state)
        })
      )
      assert.deepStrictEqual(
        states.map(({ _tag }) => _tag),
        ["Idle", "Connecting", "Connected", "Unhealthy", "Disconnected", "CircuitOpen", "Isolated"]
      )
      assert.deepStrictEqual(
        groups.flatMap((members) => members()),
        []
      )
      assert.strictEqual(sleeping(), 0)
      for (const call of calls) assert.strictEqual((yield* Fiber.await(call))._tag, "Failure")
    }).pipe(Effect.provideService(Clock.Clock, clock))
  )
)

const kinds = {
  process: () => {
    const child = spawn("sleep", ["600"], { stdio: "ignore" })
    return () => child.kill("SIGKILL")
  },
  timer: () => {
    const timer = setTimeout(() => {}, 600_000)
    return () => clearTimeout(timer)
  },
  descriptor: () => {
    const fd = openSync("/dev/null", "r")
    return () => closeSync(fd)
  }
}

for (const [kind, leave] of Object.entries(kinds))
  it.live(`the guard of these tests sees a ${kind} that is left`, () =>
    Effect.gen(function* () {
      let clear: () => void = () => {}
      const exit = yield* Effect.exit(
        leavingNothing(
          Effect.sync(() => (clear = leave())),
          "100 millis"
        )
      )
      clear()
      assert.strictEqual(exit._tag, "Failure")
    })
  )
