/** Rounds: every contestant once, and again, so that what disturbs the machine disturbs all of them. */
import { Effect } from "effect"
import type { Contestant, Measured } from "./Row.ts"

export interface Options {
  /** how often each is measured */
  readonly rounds: number
  /** rounds before that, which do not count; default 1 */
  readonly warmUp?: number
}

/** Runs the rounds; each begins with another contestant. */
export const interleave = (
  contestants: ReadonlyArray<Contestant>,
  { rounds, warmUp = 1 }: Options
): Effect.Effect<Measured> =>
  Effect.promise(async () => {
    const values = contestants.map((): Array<number> => [])
    for (let round = -warmUp; round < rounds; round++) {
      for (let turn = 0; turn < contestants.length; turn++) {
        const index = (turn + round + warmUp) % contestants.length
        const value = await contestants[index]?.round()
        if (round >= 0 && value !== undefined) values[index]?.push(value)
      }
    }
    return { contestants: contestants.map(({ name }, index) => ({ name, rounds: values[index] ?? [] })) }
  })

/** Milliseconds that something took. */
export const elapsed = async (run: () => PromiseLike<unknown>): Promise<number> => {
  const begin = performance.now()
  await run()
  return performance.now() - begin
}

/** A contestant that awaits a promise `times` times a round; nanoseconds for one. */
export const promised = (name: string, times: number, once: () => PromiseLike<unknown>): Contestant => ({
  name,
  round: async () => {
    const loop = async () => {
      for (let left = times; left > 0; left--) await once()
    }
    return ((await elapsed(loop)) * 1e6) / times
  }
})

/** A contestant that runs an effect `times` times a round, within one fiber; nanoseconds for one. */
export const effect = (name: string, times: number, once: Effect.Effect<unknown>): Contestant => ({
  name,
  round: async () => {
    const loop = Effect.suspend(() => {
      let left = times
      return Effect.whileLoop({ while: () => left > 0, body: () => once, step: () => void left-- })
    })
    return ((await elapsed(() => Effect.runPromise(loop))) * 1e6) / times
  }
})

/** A contestant that runs a function `times` times a round; nanoseconds for one. */
export const plain = (name: string, times: number, once: () => unknown): Contestant => ({
  name,
  round: () => {
    const begin = performance.now()
    let kept: unknown
    for (let left = times; left > 0; left--) kept = once()
    const took = performance.now() - begin
    // used, so that it is computed
    if (kept === none) throw new Error("unreachable")
    return Promise.resolve((took * 1e6) / times)
  }
})

/** The same, told in microseconds where it was in nanoseconds. */
export const inMicroseconds = ({ name, round }: Contestant): Contestant => ({
  name,
  round: () => round().then((nanoseconds) => nanoseconds / 1000)
})

const none = Symbol("none")
