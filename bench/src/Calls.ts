/** Calls to a server that is a process of its own: how long one takes, and what it costs the process that makes it. */
import { Effect } from "effect"
import * as Heap from "./Heap.ts"
import * as Rounds from "./Rounds.ts"
import type { Contestant, Limit, Measured, Result } from "./Row.ts"
import * as Spread from "./Spread.ts"

/** What a round of calls took, in microseconds. */
export interface Taken {
  /** the median of the calls */
  readonly wall: number
  /** the 99th of a hundred */
  readonly p99: number
  /** of the process that is looked at, user and system, all threads: the mean */
  readonly cpu: number
}

/** Makes calls one after the other, and tells how many milliseconds each took. */
export interface Caller {
  readonly name: string
  readonly make: (times: number, took: (milliseconds: number) => void) => Promise<unknown>
  /** the microseconds of CPU that the process has taken whose cost is asked for; default: this one's */
  readonly cpu?: (() => number) | undefined
}

const ofThisProcess = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

/** Awaits a promise for each. */
export const promised = (name: string, once: () => PromiseLike<unknown>, cpu?: () => number): Caller => ({
  name,
  cpu,
  make: async (times, took) => {
    for (let left = times; left > 0; left--) {
      const began = performance.now()
      await once()
      took(performance.now() - began)
    }
  }
})

/** Runs an effect for each, within one fiber. */
export const effect = (name: string, once: Effect.Effect<unknown>): Caller => ({
  name,
  make: (times, took) =>
    Effect.runPromise(
      Effect.suspend(() => {
        let left = times
        let began = 0
        return Effect.whileLoop({
          while: () => left-- > 0,
          body: () => {
            began = performance.now()
            return once
          },
          step: () => took(performance.now() - began)
        })
      })
    )
})

/** Interleaves rounds of so many calls. */
export const interleave = (
  callers: ReadonlyArray<Caller>,
  { times, ...options }: Rounds.Options & { readonly times: number }
): Effect.Effect<ReadonlyArray<Result<Taken>>> =>
  Effect.promise(() =>
    Rounds.turns(
      callers.map((caller) => contestant(caller, times)),
      options
    )
  )

const contestant = ({ cpu = ofThisProcess, make, name }: Caller, times: number): Contestant<Taken> => ({
  name,
  round: async () => {
    // what one has left behind is not collected at the cost of the next
    Heap.collectYoung()
    const took: Array<number> = []
    const before = cpu()
    await make(times, (milliseconds) => took.push(milliseconds))
    return {
      wall: Spread.of(took).median * 1000,
      p99: Spread.percentile(took, 99) * 1000,
      cpu: (cpu() - before) / times
    }
  }
})

/** Both, as tables. */
export const measured = (results: ReadonlyArray<Result<Taken>>, what: string): Measured => ({
  contestants: of(results, "wall"),
  also: [{ title: `CPU of this process for ${what}`, unit: "µs", contestants: of(results, "cpu") }]
})

/** One quantity of each round. */
export const of = (results: ReadonlyArray<Result<Taken>>, quantity: keyof Taken): ReadonlyArray<Result> =>
  results.map(({ name, rounds }) => ({ name, rounds: rounds.map((taken) => taken[quantity]) }))

/** The median, over the rounds, of the ratio of one beside another. */
export const limit = (
  results: ReadonlyArray<Result<Taken>>,
  {
    beside,
    of: name,
    quantity,
    ...limit
  }: Omit<Limit, "found" | "unit" | "what"> & {
    readonly quantity: keyof Taken
    readonly of: string
    readonly beside: string
  }
): Limit => {
  const rounds = (contestant: string) =>
    of(results, quantity).find((result) => result.name === contestant)?.rounds ?? []
  return {
    ...limit,
    what: `${names[quantity]}: ${name} beside ${beside}`,
    found: Spread.ratio(rounds(name), rounds(beside)).median,
    unit: "×"
  }
}

const names: Readonly<Record<keyof Taken, string>> = { wall: "time", p99: "99th of a hundred", cpu: "CPU" }
