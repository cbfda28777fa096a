import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { Leftovers, ProcessGroups } from "../src/index.ts"
import { until } from "./wait.ts"

/** A shell in a group of its own that has printed a line; with the scope its group ends. */
const shell = (script: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly pid: number; readonly printed: string; readonly exited: Promise<void> }>((resume) => {
      const child = spawn("sh", ["-c", script], { detached: true, stdio: ["ignore", "pipe", "ignore"] })
      const exited = new Promise<void>((resolve) => child.on("close", () => resolve()))
      child.stdout.once("data", (text: Buffer) =>
        resume(Effect.succeed({ pid: child.pid ?? 0, printed: text.toString().trim(), exited }))
      )
    }),
    ({ exited, pid }) =>
      Effect.promise(() => {
        ProcessGroups.signal(-pid, "SIGKILL")
        return exited
      })
  )
const pids = (group: number) => ProcessGroups.members(group).map(({ pid }) => pid)
/** Until the group has lost a member. */
const without = (group: number, pid: number) => until(Effect.sync(() => !pids(group).includes(pid)))

describe("ProcessGroups", () => {
  it.live("members are all that live in the group, children those that are this process's own", () =>
    Effect.gen(function* () {
      const { pid, printed } = yield* shell("sleep 60 & echo $!; wait")
      assert.sameMembers(pids(pid), [pid, Number(printed)])
      const children = ProcessGroups.children().map((child) => child.pid)
      assert.include(children, pid)
      assert.notInclude(children, Number(printed))
      ProcessGroups.signal(pid, "SIGKILL")
      yield* without(pid, pid)
      assert.deepStrictEqual(pids(pid), [Number(printed)])
    })
  )

  it.live("a zombie is no member", () =>
    Effect.gen(function* () {
      // What the shell becomes never asks how its child ended.
      const { pid, printed } = yield* shell("sleep 60 & echo $!; exec sleep 60")
      assert.include(pids(pid), Number(printed))
      yield* until(Effect.sync(() => ProcessGroups.members(pid).every(({ command }) => command === "sleep 60")))
      ProcessGroups.signal(Number(printed), "SIGKILL")
      yield* without(pid, Number(printed))
      assert.deepStrictEqual(pids(pid), [pid])
      // It is still there to be signalled.
      assert.isTrue(process.kill(Number(printed), 0))
    })
  )

  it.effect("awaitGone waits for the last member, in real time", () =>
    Effect.gen(function* () {
      const { pid, printed } = yield* shell("sleep 60 & echo $!; wait")
      const gone = yield* Effect.forkChild(ProcessGroups.awaitGone(pid), { startImmediately: true })
      ProcessGroups.signal(pid, "SIGKILL")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      assert.isUndefined(gone.pollUnsafe())
      ProcessGroups.signal(Number(printed), "SIGKILL")
      yield* Fiber.join(gone)
      assert.deepStrictEqual(pids(pid), [])
      yield* ProcessGroups.awaitGone(pid)
    })
  )

  it.live("an interrupted awaitGone looks no more", () =>
    Effect.gen(function* () {
      const { pid } = yield* shell("echo; exec sleep 60")
      const leftovers = yield* Leftovers.make()
      const gone = yield* Effect.forkChild(ProcessGroups.awaitGone(pid), { startImmediately: true })
      assert.include(yield* leftovers.list, "1 x Timeout")
      yield* Fiber.interrupt(gone)
      yield* leftovers.check
    })
  )

  it.live("signal goes to a process or a whole group, and to nobody who has gone", () =>
    Effect.gen(function* () {
      const { exited, pid } = yield* shell("sleep 60 & echo $!; wait")
      ProcessGroups.signal(-pid, "SIGTERM")
      yield* ProcessGroups.awaitGone(pid)
      yield* Effect.promise(() => exited)
      ProcessGroups.signal(pid, "SIGTERM")
      ProcessGroups.signal(-pid, "SIGTERM")
    })
  )

  it.live("openFds counts what this process has open, fdsOf says what that is", () =>
    Effect.gen(function* () {
      const before = ProcessGroups.openFds()
      const fd = openSync("/dev/full", "r")
      assert.strictEqual(ProcessGroups.openFds(), before + 1)
      assert.include(ProcessGroups.fdsOf(process.pid), "/dev/full")
      closeSync(fd)
      assert.strictEqual(ProcessGroups.openFds(), before)
      const { exited, pid } = yield* shell("exec 9</dev/full; echo; wait; exec sleep 60")
      assert.include(ProcessGroups.fdsOf(pid), "/dev/full")
      ProcessGroups.signal(pid, "SIGKILL")
      yield* Effect.promise(() => exited)
      assert.deepStrictEqual(ProcessGroups.fdsOf(pid), [])
    })
  )
})
