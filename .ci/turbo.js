// Runs turbo as pinned here and without telemetry, on every platform: `node .ci/turbo.js run build`.
import { runTurbo } from "./runTurbo.js"

process.exitCode = await runTurbo(process.argv.slice(2))
