/** Whom a watchdog ends when its host is gone: the group that it was given, and nobody who has its number now. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Watchdog from "../../src/internal/watchdog.ts"
import { eventually, promise } from "../connector/support.ts"

/** A process group of its own; killed with the test. */
const group = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(command, args, { detached: true, stdio: "ignore" }).pid ?? 0),
    (pid) => Effect.sync(() => ProcessGroups.signal(-pid, "SIGKILL"))
  )

/** A watchdog whose host is gone already; returns when it has done what it does. */
const bereft = (group: number, start: string) =>
  Effect.callback<number | null>((resume) => {
    const args = ["-c", Watchdog.script, "watchdog", String(group), "0", "0", start]
    const shell = spawn(Watchdog.shell, args, { stdio: "ignore", env: { PATH: "/usr/bin:/bin" } })
    shell.once("exit", (code) => resume(Effect.succeed(code)))
    return Effect.sync(() => shell.kill("SIGKILL"))
  })

const lives = (group: number) => ProcessGroups.members(group).length

promise("a watchdog ends the group that it was given", () =>
  Effect.gen(function* () {
    const pid = yield* group("sleep", "600")
    const start = yield* Watchdog.startOf(pid)
    expect(start).toMatch(/^\d+$/)
    yield* bereft(pid, start)
    yield* ProcessGroups.awaitGone(pid)
  })
)

promise("a watchdog ends nobody who has got the number of its group since", () =>
  Effect.gen(function* () {
    const pid = yield* group("sleep", "600")
    const start = yield* Watchdog.startOf(pid)
    for (const another of [String(Number(start) - 1), "gone"]) {
      expect(yield* bereft(pid, another)).toBe(0)
      expect(lives(pid)).toBe(1)
    }
  })
)

promise("a watchdog ends what is left of a group whose leader has gone", () =>
  Effect.gen(function* () {
    const pid = yield* group("sh", "-c", "read -r line; sleep 600 & sleep 600 & sleep 0.1")
    const start = yield* Watchdog.startOf(pid)
    yield* eventually(() => lives(pid) === 2 && ProcessGroups.members(pid).every((member) => member.pid !== pid))
    expect(yield* Watchdog.startOf(pid)).toBe("gone")
    yield* bereft(pid, start)
    yield* ProcessGroups.awaitGone(pid)
  })
)

promise("a watchdog knows its group whatever its leader is called", () =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-watchdog-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true }))
    )
    const strange = join(directory, "a) S 1\n(b")
    copyFileSync("/bin/sleep", strange)
    const pid = yield* group(strange, "600")
    const start = yield* Watchdog.startOf(pid)
    yield* bereft(pid, String(Number(start) + 1))
    expect(lives(pid)).toBe(1)
    yield* bereft(pid, start)
    yield* ProcessGroups.awaitGone(pid)
  })
)

promise("a watchdog ends its group where the system does not tell when its leader was started", () =>
  Effect.gen(function* () {
    const pid = yield* group("sleep", "600")
    yield* bereft(pid, "unknown")
    yield* ProcessGroups.awaitGone(pid)
  })
)
