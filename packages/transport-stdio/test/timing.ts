/** Time on a machine that others use as well. */
import { Effect } from "effect"
import { spawn } from "node:child_process"

/** The middle one of the values: a machine that stops for a moment does not move it. */
export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN

/** A child that does nothing, beside the one that is measured. */
export interface BareChild {
  /** Kills it, and gives the milliseconds until Node tells of its exit: what the machine takes for that now. */
  readonly kill: Effect.Effect<number>
}

/** Starts one; it runs. */
export const bareChild: Effect.Effect<BareChild> = Effect.callback((resume) => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" })
  child.once("spawn", () =>
    resume(
      Effect.succeed({
        kill: Effect.callback<number>((told) => {
          const killed = performance.now()
          child.once("exit", () => told(Effect.succeed(performance.now() - killed)))
          child.kill("SIGKILL")
        })
      })
    )
  )
})
