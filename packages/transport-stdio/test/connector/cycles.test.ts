/** A server that is killed and started again 50 times leaves this process, and the machine, as they were. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber } from "effect"
import { call, connectorOf, eventually, measured, memory, open, promise } from "./support.ts"

const cycles = 50
/** Until then caches fill and functions are compiled for the first time. */
const warm = 10

promise("50 kills leave no process, no descriptor and a flat heap", () =>
  Effect.gen(function* () {
    const server = yield* StdioServers.scripted()
    const connector = connectorOf(server, { env: { SOME: "variable" }, stderr: { lines: 5 } })
    const descriptors: Array<number> = []
    const heap: Array<number> = []
    const groups: Array<number> = []
    for (let cycle = 1; cycle <= cycles; cycle++) {
      const { close, group, host, session } = yield* open(connector)
      expect((yield* call(session, server.echo(`${cycle}`))).text).toBe(`Echo: ${cycle}`)
      // every other one dies at work
      const calling =
        cycle % 2 === 0
          ? yield* Effect.forkChild(call(session, server.slow(30)), { startImmediately: true })
          : undefined
      ProcessGroups.signal(group, "SIGKILL")
      yield* eventually(() => host.losses.length > 0, "the loss")
      yield* close
      if (calling !== undefined) expect(Exit.isFailure((yield* Fiber.join(calling)).result)).toBe(true)
      groups.push(group)
      if (cycle <= warm) continue
      descriptors.push(ProcessGroups.openFds())
      if (cycle === warm + 1 || cycle === cycles) heap.push(memory())
    }
    expect(new Set(groups).size).toBe(cycles)
    expect(yield* server.starts).toBe(cycles)
    for (const group of groups) expect(ProcessGroups.members(group)).toEqual([])
    expect(new Set(descriptors).size).toBe(1)
    const [first = 0, last = Infinity] = heap
    const growth = last - first
    measured("heap", growth / (cycles - warm), "bytes a cycle")
    expect(growth / (cycles - warm)).toBeLessThan(24 * 1024)
  })
)
