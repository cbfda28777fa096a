/** A server that is killed and started again 60 times leaves its host's process, and the machine, as they were. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { expect, it } from "@effect/vitest"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Report } from "./cycles.ts"
import { measured } from "./support.ts"

const program = fileURLToPath(new URL("cycles.ts", import.meta.url))

/** Without what V8's compilers add and drop on their own account. */
const quietHeap = ["--expose-gc", "--no-opt", "--no-maglev", "--no-sparkplug", "--no-flush-bytecode"]

/** In a process of its own, so that nothing else is in its heap. */
const reportOf = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const leftovers = yield* Leftovers.make()
  const report = yield* Effect.callback<Report>((resume) => {
    const child = fork(program, args, { execArgv: quietHeap })
    let report: Effect.Effect<Report> = Effect.die(new Error("the process of the cycles has ended without a report"))
    child.once("message", (sent: Report) => (report = Effect.succeed(sent)))
    child.once("exit", () => resume(report))
    return Effect.sync(() => child.kill("SIGKILL"))
  })
  yield* leftovers.check
  return report
})

/** Bytes. A client that is kept makes some 3,700. */
const mostHeap = 1500

it.live("60 kills leave no process, no descriptor and a flat heap", () =>
  Effect.gen(function* () {
    const { cycles, descriptors, groups, heapPerCycle, processes, starts } = yield* reportOf()
    measured("heap", heapPerCycle, "bytes a cycle")
    expect([cycles, starts, groups, processes]).toEqual([60, 60, 60, 0])
    expect(descriptors).toHaveLength(1)
    expect(heapPerCycle).toBeLessThan(mostHeap)
  })
)

it.live("a client that somebody keeps is seen in the heap", () =>
  Effect.gen(function* () {
    const { heapPerCycle } = yield* reportOf("kept")
    measured("heap with a client that is kept", heapPerCycle, "bytes a cycle")
    expect(heapPerCycle).toBeGreaterThan(2 * mostHeap)
  })
)
