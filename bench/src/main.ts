/**
 * Measures this library beside what it is built on, in one run: `pnpm bench [row…]`, where `http` is every row
 * whose name begins with `http-`. With `--json` it prints one object
 * and nothing else; turbo adds lines of its own, so: `pnpm --silent --filter @vmcp-keepalive/bench bench --json`.
 * It fails where a row exceeds a limit: how long something takes is nobody's fault, what is left behind is ours.
 */
import { Effect } from "effect"
import { availableParallelism, cpus, loadavg } from "node:os"
import { parseArgs } from "node:util"
import type { Row } from "./Row.ts"
import { clusterFailover } from "./rows/clusterFailover.ts"
import { clusterCall, clusterCallReal } from "./rows/clusterCall.ts"
import { clusterHerd } from "./rows/clusterHerd.ts"
import { clusterProbes } from "./rows/clusterProbes.ts"
import { clusterSimulation } from "./rows/clusterSimulation.ts"
import { detection } from "./rows/detection.ts"
import { gatewayHttp, gatewayModern, gatewayReal, gatewayStdio } from "./rows/gatewayCall.ts"
import { gatewayCrowd } from "./rows/gatewayCrowd.ts"
import { guard } from "./rows/guard.ts"
import { crowd } from "./rows/crowd.ts"
import { fleet } from "./rows/fleet.ts"
import { hostCallJson, hostCallSse } from "./rows/hostCall.ts"
import { httpCallJson, httpCallReal, httpCallSse } from "./rows/httpCall.ts"
import { httpConnect } from "./rows/httpConnect.ts"
import { httpIdle } from "./rows/httpIdle.ts"
import { httpKill } from "./rows/httpKill.ts"
import { httpMany } from "./rows/httpMany.ts"
import { metricsCall, metricsEvent, metricsHeap } from "./rows/metrics.ts"
import { neighbours } from "./rows/neighbours.ts"
import { rejection } from "./rows/rejection.ts"
import { stdioCall } from "./rows/stdioCall.ts"
import { stdioCycles } from "./rows/stdioCycles.ts"
import { stdioDetection } from "./rows/stdioDetection.ts"
import { sdk2Call, sdk2CallReal, sdk2Connect, sdk2StdioCall } from "./rows/sdk2.ts"
import { step } from "./rows/step.ts"
import * as Summary from "./Summary.ts"

const rows: ReadonlyArray<Row> = [
  guard,
  rejection,
  step,
  httpCallSse,
  httpCallJson,
  httpCallReal,
  hostCallSse,
  hostCallJson,
  httpConnect,
  httpIdle,
  httpMany,
  neighbours,
  stdioCall,
  sdk2Call,
  sdk2CallReal,
  sdk2Connect,
  sdk2StdioCall,
  detection,
  httpKill,
  stdioDetection,
  metricsCall,
  metricsEvent,
  metricsHeap,
  crowd,
  fleet,
  stdioCycles,
  gatewayStdio,
  gatewayReal,
  gatewayHttp,
  gatewayModern,
  gatewayCrowd,
  clusterFailover,
  clusterCall,
  clusterCallReal,
  clusterProbes,
  clusterHerd,
  clusterSimulation
]

const { positionals, values } = parseArgs({
  options: { json: { type: "boolean" } },
  allowPositionals: true,
  strict: true
})

const names = (asked: string, { name }: Row) => name === asked || name.startsWith(`${asked}-`)
const unknown = positionals.filter((name) => !rows.some((row) => names(name, row)))
if (unknown.length > 0) {
  console.error(`No such row: ${unknown.join(", ")}. Rows are ${rows.map(({ name }) => name).join(", ")}.`)
  process.exit(2)
}
const asked = rows.filter((row) => positionals.length === 0 || positionals.some((name) => names(name, row)))

const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  load: loadavg()[0] ?? 0
}
const say = (text: string) => values.json !== true && console.log(text)

say(`Node ${machine.node}, ${machine.cores} × ${machine.cpu}, load ${machine.load.toFixed(1)}`)
say("The last columns are ratios to the first line of each table, round by round.\n")
const summaries: Array<Summary.Summary> = []
for (const row of asked) {
  const summary = Summary.make(row, await Effect.runPromise(Effect.scoped(row.run)))
  summaries.push(summary)
  say(`${Summary.text(summary)}\n`)
}
if (values.json === true) console.log(JSON.stringify({ machine, rows: summaries }, null, 2))

const broken = summaries.flatMap(Summary.broken)
for (const line of broken) console.error(line)
if (broken.length > 0) process.exitCode = 1
