/** What it costs to decide: one signal through the table, one exit through the table as a Schedule. */
import { KeepalivePolicy, KeepaliveSchedule } from "@vmcp-keepalive/core"
import { type Signal, Transition } from "@vmcp-keepalive/core/engine"
import { Effect, Exit, Schedule } from "effect"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"

const times = 5000

export const step: Row = {
  name: "step",
  title: "One step of what decides",
  unit: "ns",
  run: Effect.gen(function* () {
    const { policy } = KeepalivePolicy.resolve({}, { connectTimeout: "30 seconds", supportsOptions: true })
    const rules = Transition.rules(policy, { exclusive: false })
    let model = Transition.initial(rules).model
    // a backend that connects and is then probed for ever
    const next = () => {
      const signal: Signal.Signal =
        model.running === undefined
          ? { _tag: "Due", timer: "probe", used: false, calls: "none" }
          : { _tag: "Succeeded", run: model.running.run, attention: "always" }
      const taken = Transition.step(rules, model, signal)
      model = taken.model
      return taken
    }
    const exponential = yield* Schedule.toStep(Schedule.exponential("1 second").pipe(Schedule.jittered))
    const table = yield* Schedule.toStep(yield* KeepaliveSchedule.make())
    const succeeded = Exit.succeed(1)
    const failed = Exit.fail("down")
    let turn = 0
    return yield* Rounds.interleave(
      [
        Rounds.effect(
          "Effect's Schedule.exponential, jittered",
          times,
          Effect.orDie(Effect.suspend(() => exponential(0, undefined)))
        ),
        Rounds.plain("transition table", times, next),
        Rounds.effect(
          "KeepaliveSchedule.make, healthy",
          times,
          Effect.orDie(Effect.suspend(() => table(++turn, succeeded)))
        ),
        Rounds.effect(
          "KeepaliveSchedule.make, every other exit a failure",
          times,
          Effect.orDie(Effect.suspend(() => table(++turn, turn % 2 === 0 ? succeeded : failed)))
        )
      ],
      { rounds: 11, warmUp: 3 }
    )
  })
}
