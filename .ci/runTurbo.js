import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { constants } from "node:os"

/** Runs turbo to its end and returns its exit code. `stdout` is where turbo's standard output goes. */
export function runTurbo(args, stdout = "inherit") {
  const turbo = createRequire(import.meta.url).resolve("turbo/bin/turbo")
  const { error, signal, status } = spawnSync(process.execPath, [turbo, ...args], {
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
    stdio: ["inherit", stdout, "inherit"]
  })
  if (error) throw error
  return status ?? 128 + constants.signals[signal]
}
