/** Programs of `programs/`: each runs in a process of its own, so that nothing else is in its heap, and reports once. */
import { Effect, type Scope } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Options {
  /** what the program reads from its command line; default: nothing */
  readonly args?: ReadonlyArray<string>
  /** of Node; default: `--expose-gc` */
  readonly flags?: ReadonlyArray<string>
}

/** Runs one to its report; it has ended when the effect has. Dies where there is no report within ten minutes. */
export const run = <Report>(
  name: string,
  { args = [], flags = ["--expose-gc"] }: Options = {}
): Effect.Effect<Report, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() =>
        fork(fileURLToPath(import.meta.resolve(`./programs/${name}.js`)), args, {
          execArgv: [...flags],
          stdio: ["ignore", "ignore", "inherit", "ipc"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) =>
      Effect.callback<Report>((resume) => {
        child.on("message", (report: Report) => resume(Effect.succeed(report)))
        child.on("exit", (code, signal) => resume(Effect.die(`the program ${name} ended with ${signal ?? code}`)))
      }).pipe(Effect.timeout("10 minutes"), Effect.orDie)
  )

/** The other side: sends the report of an effect to the parent, and ends the process. It ends with the parent, too. */
export const main = async <Report extends object>(
  report: Effect.Effect<Report, unknown, Scope.Scope>
): Promise<void> => {
  process.on("disconnect", () => process.exit())
  process.send?.(await Effect.runPromise(Effect.scoped(report)))
  process.disconnect()
}
