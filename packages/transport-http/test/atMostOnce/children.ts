/** Processes of the tests: they answer over IPC, and end with the scope. */
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

/** Starts a program of this folder; `through` is a command that becomes it, as `unshare --net` does. */
export const start = (program: string, args: ReadonlyArray<string>, through: ReadonlyArray<string> = []) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const script = fileURLToPath(new URL(program, import.meta.url))
      const [command = process.execPath, ...rest] = [...through, process.execPath, script, ...args]
      return spawn(command, rest, {
        env: { PATH: process.env["PATH"] },
        stdio: ["ignore", "inherit", "inherit", "ipc"]
      })
    }),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )

/** Its next message that fulfils the predicate; dies with the child, and after a minute. */
export const hear = <Message, Wanted extends Message>(
  child: ChildProcess,
  wanted: (message: Message) => message is Wanted
): Effect.Effect<Wanted> =>
  Effect.callback<Wanted>((resume) => {
    const onMessage = (message: Message) => {
      if (!wanted(message)) return
      off()
      resume(Effect.succeed(message))
    }
    const onExit = (code: number | null, signal: string | null) => {
      off()
      resume(Effect.die(new Error(`${child.spawnargs.join(" ")} ended with ${signal ?? code}`)))
    }
    const off = () => {
      child.off("message", onMessage)
      child.off("exit", onExit)
    }
    child.on("message", onMessage)
    child.on("exit", onExit)
    return Effect.sync(off)
  }).pipe(Effect.timeout("1 minute"), Effect.orDie)

/** Sends it a message, and what it then says. */
export const ask = <Message, Wanted extends Message>(
  child: ChildProcess,
  message: object,
  wanted: (message: Message) => message is Wanted
): Effect.Effect<Wanted> =>
  Effect.suspend(() => {
    const answer = hear(child, wanted)
    child.send(message)
    return answer
  })
