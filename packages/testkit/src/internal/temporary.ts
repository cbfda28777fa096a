/** Temporary directories. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const variable = "VMCP_TESTKIT_TEMPORARY"

/**
 * In the path of every directory that this process makes: whoever has such a path in its arguments or its environment
 * was started for it.
 */
export const mark = process.env[variable] ?? `vmcp-testkit-${randomUUID()}`

/** From now on it is also in the paths of those that make directories with an environment inherited from this process. */
export const shareMark = (): void => {
  process.env[variable] = mark
}

/** One that goes with the scope, or with this process if that ends before. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), `${mark}-`))
      const remove = () => rmSync(path, { recursive: true, force: true })
      const release = atExit(remove)
      return { path, remove, release }
    }),
    ({ release, remove }) =>
      Effect.sync(() => {
        release()
        remove()
      })
  ),
  ({ path }) => path
)

const cleanups = new Set<() => void>()
/** What began last may use what began before. */
const cleanUp = () => [...cleanups].toReversed().forEach((clean) => clean())

/** Last resort: until released, `process.exit` of this process does this. */
export const atExit = (clean: () => void): (() => void) => {
  if (cleanups.size === 0) process.on("exit", cleanUp)
  cleanups.add(clean)
  return () => {
    cleanups.delete(clean)
    if (cleanups.size === 0) process.off("exit", cleanUp)
  }
}
