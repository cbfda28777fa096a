/**
 * A shell that outlives this process by a moment: when this one dies, however it dies, its stdin ends, and it ends the
 * process group of a child that does not do so by itself.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as PlatformError from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import type { Shutdown } from "./childProcess.ts"

const script = 'read -r _; sleep "$2"; kill -s TERM -- "-$1"; sleep "$3"; kill -s KILL -- "-$1"'

/** Watches over the group until the scope closes. */
export const watch = (
  group: number,
  { end, term }: Shutdown
): Effect.Effect<void, PlatformError.PlatformError, ChildProcessSpawner | Scope.Scope> =>
  Effect.asVoid(
    ChildProcess.make("/bin/sh", ["-c", script, "watchdog", String(group), seconds(end), seconds(term)], {
      env: { PATH: "/usr/bin:/bin" },
      // a group of its own as well: it must not end with the child
      detached: true,
      stdout: "ignore",
      stderr: "ignore",
      killSignal: "SIGKILL"
    })
  )

/** POSIX's `sleep` knows whole seconds only. */
const seconds = (duration: Duration.Duration): string => String(Math.ceil(Duration.toSeconds(duration)))
