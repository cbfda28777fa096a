/**
 * Which processes take part: decorates the engine's `RunnerStorage`, which is asked for all of them four times a second.
 *
 * What all of them may do together is divided by their number. After a storage that was away the first one to come back would find itself alone, take
 * everything, and hand most of it over again: those who were there before are counted for a while longer then.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { type Runner, RunnerAddress, RunnerStorage } from "effect/cluster"
import type { Settings } from "../../ClusterOptions.ts"
import { shareOf } from "./share.ts"

export class Members extends Context.Service<
  Members,
  {
    /** the part of this process in what all of them may do together at a time, as of now; at least 1 */
    readonly share: (total: number) => number
    /** Notes who takes part, this process or not. */
    readonly are: (others: Iterable<RunnerAddress.RunnerAddress>) => void
  }
>()("@vmcp-keepalive/cluster/Members") {}

/** How many milliseconds the others may take to find the storage again: the engine waits 5 seconds for an answer, and asks a second later. */
const returning = 10_000

const nameOf = ({ host, port }: RunnerAddress.RunnerAddress) => `${host} ${port}`

/** Alone, until it is told of others. */
export const make = ({ address }: Pick<Settings, "address">): Members["Service"] => {
  const own = nameOf(RunnerAddress.RunnerAddress.make(address))
  let names: ReadonlyArray<string> = [own]
  return {
    share: (total) => shareOf(total, names.indexOf(own), names.length),
    are: (others) => {
      names = [...new Set([own, ...Array.from(others, nameOf)])].toSorted()
    }
  }
}

/** The decorated storage, which tells them. */
export const layer = ({
  address,
  lease
}: Pick<Settings, "address" | "lease">): Layer.Layer<
  RunnerStorage.RunnerStorage,
  never,
  RunnerStorage.RunnerStorage | Members
> =>
  Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.gen(function* () {
      const inner = yield* RunnerStorage.RunnerStorage
      const members = yield* Members
      const clock = yield* Clock.Clock
      const own = RunnerAddress.RunnerAddress.make(address)
      const span = Duration.toMillis(lease)
      const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

      let before: ReadonlyArray<readonly [Runner.Runner, boolean]> = []
      let answeredAt = now()
      let hasFailed = false
      let countedUntil = Number.NEGATIVE_INFINITY

      /** Of one that is there both now and before, what is said now. This process says itself that it is there. */
      const withThoseBefore = (listed: ReadonlyArray<readonly [Runner.Runner, boolean]>) => {
        const isListed = (one: Runner.Runner) => listed.some(([other]) => Equal.equals(one.address, other.address))
        return [...listed, ...before.filter(([runner]) => !Equal.equals(runner.address, own) && !isListed(runner))]
      }
      const answered = (listed: Array<readonly [runner: Runner.Runner, healthy: boolean]>) => {
        const at = now()
        // Rows run out that nobody could refresh: of half a lease most are left, and of a whole one none.
        if (hasFailed && at - answeredAt > span / 2) countedUntil = at + Math.max(span, returning)
        hasFailed = false
        answeredAt = at
        const all = at < countedUntil ? withThoseBefore(listed) : listed
        if (at >= countedUntil) before = listed
        members.are(all.flatMap(([runner, isHealthy]) => (isHealthy ? [runner.address] : [])))
        return all
      }
      return RunnerStorage.RunnerStorage.of({
        ...inner,
        getRunners: inner.getRunners.pipe(
          Effect.onExit((exit) => Effect.sync(() => void (hasFailed ||= Exit.isFailure(exit)))),
          Effect.map(answered)
        )
      })
    })
  )
