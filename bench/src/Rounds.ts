/** Rounds: every contestant once, and again, so that what disturbs the machine disturbs all of them. */
import { Effect } from "effect"
import type { Contestant, Measured, Result } from "./Row.ts"

export interface Options {
  /** how often each is measured */
  readonly rounds: number
  /** rounds before that, which do not count; default 1 */
  readonly warmUp?: number
}

/** Runs the rounds; each begins with another contestant. */
export const interleave = (contestants: ReadonlyArray<Contestant>, options: Options): Effect.Effect<Measured> =>
  Effect.map(
    Effect.promise(() => turns(contestants, options)),
    (results) => ({ contestants: results })
  )

/** The same, of contestants that measure more than one thing a round. */
export const turns = async <Value>(
  contestants: ReadonlyArray<Contestant<Value>>,
  { rounds, warmUp = 1 }: Options
): Promise<ReadonlyArray<Result<Value>>> => {
  const results = contestants.map(({ name, round }) => ({ name, round, rounds: new Array<Value>() }))
  for (let number = -warmUp; number < rounds; number++) {
    for (let turn = 0; turn < results.length; turn++) {
      const contestant = results[(turn + number + warmUp) % results.length]
      if (contestant === undefined) continue
      const value = await contestant.round()
      if (number >= 0) contestant.rounds.push(value)
    }
  }
  return results.map(({ name, rounds: values }) => ({ name, rounds: values }))
}

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

const none = Symbol("none")
