/** A server over stdio that is killed again and again: what a life costs, and what is left of it. */
import { Effect } from "effect"
import * as BareChild from "../BareChild.ts"
import * as Program from "../Program.ts"
import type { Report } from "../programs/cycles.ts"
import * as Rounds from "../Rounds.ts"
import type { Limit, Row } from "../Row.ts"
import * as StdioBackend from "../StdioBackend.ts"

export const stdioCycles: Row = {
  name: "stdio-cycles",
  title: "A server over stdio is started, called and killed",
  unit: "ms",
  run: Effect.gen(function* () {
    const { cycle, server } = yield* StdioBackend.make("stdio-cycles")
    const { contestants } = yield* Rounds.interleave(
      [
        {
          name: "child_process: spawn, first answer, SIGKILL, exit",
          round: () => Rounds.elapsed(async () => BareChild.kill(await BareChild.startAndAsk(server)))
        },
        {
          name: "child_process: spawn, SIGKILL, exit",
          round: () => Rounds.elapsed(() => BareChild.kill(BareChild.start(server)))
        },
        { name: "backend: call, SIGKILL, next session", round: () => Rounds.elapsed(() => Effect.runPromise(cycle)) }
      ],
      { rounds: 31, warmUp: 5 }
    )
    const report = yield* Program.run<Report>("cycles", { flags: quietHeap })
    return { contestants, limits: limitsOf(report), remarks: remarksOf(report) }
  })
}

/** Without what V8's compilers add and drop on their own account: some 5 KB a cycle until cycle 600. */
const quietHeap = ["--expose-gc", "--no-opt", "--no-maglev", "--no-sparkplug", "--no-flush-bytecode"]

/**
 * Bytes. Found are 4 to 17, and 6 to 8 when the same process only sleeps; a request's record that is kept makes about 100
 * more, a client 20,000.
 */
const mostHeap = 64

const limitsOf = ({ after, before, cycles, heapFrom, heapPerCycle, processes, warm }: Report): ReadonlyArray<Limit> => {
  const count = cycles.toLocaleString("en")
  return [
    {
      what: `processes left by ${count} kills`,
      found: processes,
      most: 0,
      because: "a server has ended, with its group, before the next one starts"
    },
    {
      what: `file descriptors more than after kill ${warm}`,
      found: after.descriptors - before.descriptors,
      most: 0,
      because: "the pipes of a server that has ended are closed"
    },
    {
      what: `active resources more than after kill ${warm}`,
      found: total(after.resources) - total(before.resources),
      most: 0,
      because: "no timer, process or pipe outlives its session"
    },
    {
      what: `heap more with each kill, from ${heapFrom} on`,
      found: heapPerCycle,
      most: mostHeap,
      unit: "B",
      because: "a session that has ended is not held, nor is anything of it"
    }
  ]
}

const total = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, count) => sum + count, 0)

const remarksOf = ({ after, cycles, milliseconds }: Report): ReadonlyArray<string> => [
  `${cycles.toLocaleString("en")} kills in ${(milliseconds / 1000).toFixed(1)} s, ${((cycles * 1000) / milliseconds).toFixed(1)} a second, without V8's compilers`,
  `active then: ${Object.entries(after.resources)
    .map(([name, count]) => `${count} × ${name}`)
    .join(", ")}`
]
