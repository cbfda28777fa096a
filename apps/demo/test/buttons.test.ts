/** The buttons of the page, on the real servers: each does what it says, and ends. */
import { NodeServices } from "@effect/platform-node"
import { Effect, Schedule } from "effect"
import { expect, test } from "vitest"
import * as Buttons from "../src/Buttons.ts"
import * as Journal from "../src/Journal.ts"
import type { Place } from "../src/Place.ts"
import * as Pressed from "../src/Pressed.ts"
import * as Traffic from "../src/Traffic.ts"
import * as World from "../src/World.ts"

const every = ["kill", "freeze", "cut", "drop", "refuse", "429", "401", "zombie"]
const expected: Readonly<Record<string, ReadonlyArray<string>>> = {
  everything: every,
  supergateway: every,
  "mcp-proxy": every,
  "effect-mcp": every,
  sdk2: every,
  scripted: every,
  filesystem: ["kill", "freeze"],
  "scripted-sh": ["kill", "freeze", "refuse", "zombie"]
}

const until = <E>(holds: Effect.Effect<boolean, E>) =>
  Effect.repeat(holds, { schedule: Schedule.spaced("20 millis"), until: (held) => held })

/** Whether it has harmed since then: of some it is the calls that suffer, and the session stays; of the others the state is left. */
const harmed = (journal: Journal.Journal, id: string, button: string, since: number): boolean => {
  if (button === "zombie" && id !== "mcp-proxy" && id !== "scripted-sh")
    // two calls wait, and will for as long as it lasts
    return journal.calls.filter(({ backend, endedAt }) => backend === id && endedAt === undefined).length >= 2
  const signs =
    button === "429"
      ? [Journal.callEnds("failed", "busy")]
      : button === "cut"
        ? // where the server can resume an answer, nobody loses it
          [Journal.callEnds("unknown", "stream_cut"), Journal.notices("answer_resumed")]
        : [Journal.leaves("Connected")]
  return journal.entries.some((entry) => entry.backend === id && entry.at >= since && signs.some(({ is }) => is(entry)))
}

test(
  "every button of every backend harms the real server, can be pressed again to end what lasts, and all is well after it",
  () =>
    Effect.gen(function* () {
      const journal = Journal.make(() => {})
      const { extras, withhold } = yield* Pressed.make
      const world = yield* World.make(yield* World.empty(journal), () => Effect.void)
      const buttons = Buttons.all(world)
      const release = yield* withhold(buttons, "Not yet.")
      for (const { disabled } of yield* extras.buttons("everything")) expect(disabled).toBe("Not yet.")
      yield* release

      const isWell = ({ backend, id }: Place, since: number) =>
        Effect.map(
          backend.state,
          ({ _tag }) =>
            _tag === "Connected" &&
            journal.entries.some(
              (entry) => entry.backend === id && entry.at >= since && Journal.callEnds("ok").is(entry)
            )
        )
      const wrong: Array<string> = []
      const all = Effect.fnUntraced(function* (place: Place) {
        const { id } = place
        yield* Traffic.make(place, journal)
        const offered = yield* extras.buttons(id)
        expect(offered.map((button) => button.id)).toEqual(expected[id])
        for (const button of offered) {
          yield* until(isWell(place, performance.now()))
          const since = performance.now()
          yield* extras.run(id, button.id)
          yield* until(Effect.sync(() => harmed(journal, id, button.id, since)))
          const lasts = buttons.get(id)?.find((one) => one.id === button.id)?.lasting
          if (lasts !== undefined && performance.now() - since < lasts.seconds * 900) {
            const now = yield* extras.buttons(id)
            for (const one of now)
              if (
                one.id === button.id ? one.label !== lasts.endLabel : !one.disabled?.startsWith("One fault at a time")
              )
                wrong.push(`${id}, ${button.id} in force: ${JSON.stringify(one)}`)
            yield* extras.run(id, button.id)
          }
          yield* until(Effect.map(extras.buttons(id), (now) => now.every(({ disabled }) => disabled === undefined)))
          yield* until(isWell(place, performance.now()))
        }
      })
      yield* Effect.forEach(World.places(world), all, { concurrency: "unbounded" })
      expect(wrong).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer), Effect.runPromise),
  180_000
)
