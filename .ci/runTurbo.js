import { spawn } from "node:child_process"
import { once } from "node:events"
import { createRequire } from "node:module"
import { constants, setPriority } from "node:os"

/**
 * Runs turbo to its end and resolves with its exit code. `stdout` is where turbo's standard output goes; `niceness`, from 0 to 19, is
 * how far it and all that it starts stand back when others want a core. Default: 0. `env` is added to the environment.
 */
export async function runTurbo(args, { env = {}, niceness = 0, stdout = "inherit" } = {}) {
  const turbo = createRequire(import.meta.url).resolve("turbo/bin/turbo")
  const child = spawn(process.execPath, [turbo, ...args], {
    env: { ...process.env, ...env, TURBO_TELEMETRY_DISABLED: "1" },
    stdio: ["inherit", stdout, "inherit"]
  })
  const exit = once(child, "exit")
  // What it starts inherits this, and it has started nothing yet.
  if (niceness > 0 && child.pid !== undefined) setPriority(child.pid, niceness)
  const [status, signal] = await exit
  return status ?? 128 + constants.signals[signal]
}
