/** Processes of a test: each has said that it is ready, and is gone with the scope. */
import { Ports } from "@vmcp-keepalive/testkit"
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"

const programs = fileURLToPath(new URL("../programs/", import.meta.url))

export const freePort = Ports.free

export const exited = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** Ends it in order, so that nothing of it is in the way of what comes next; one that does not end, or is frozen, is killed. */
export const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.suspend(() => {
    child.kill("SIGTERM")
    return Effect.timeoutOrElse(exited(child), {
      duration: "8 seconds",
      orElse: () =>
        Effect.andThen(
          Effect.sync(() => child.kill("SIGKILL")),
          exited(child)
        )
    })
  })

/** One of `programs`, or a file elsewhere, with Node's own options before it. */
export const started = (
  name: string,
  args: ReadonlyArray<string>,
  options: ReadonlyArray<string> = []
): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const child = fork(name.startsWith("/") ? name : `${programs}${name}.ts`, args, { execArgv: [...options] })
      child.once("exit", (code, signal) => resume(Effect.die(new Error(`${name} ended: ${code ?? signal}`))))
      child.once("message", () => resume(Effect.succeed(child)))
    }),
    ended
  )
