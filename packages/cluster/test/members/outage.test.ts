/** What an engine takes that is the first one to find the storage again, after that was away for longer than the lease. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import type { RunnerStorage } from "effect/cluster"
import * as Members from "../../src/internal/members/Members.ts"
import { engine, other, type Over, own, pass } from "../engine/support.ts"

/** Whether it takes what the other one had, who comes back four seconds after it. */
const takes = (over: Over = {}) =>
  Effect.gen(function* () {
    const { idThatIs, isHere, members, polls } = yield* engine(over)
    members.set(other.host, true)
    yield* pass("2 seconds")
    const theirs = idThatIs(false)
    assert.notStrictEqual(theirs, "none")
    polls.fail = true
    yield* pass("20 seconds")
    // nobody could say that they are there: rows have run out
    members.clear()
    polls.fail = false
    let hasTaken = false
    for (let looks = 0; looks < 40; looks++) {
      yield* pass("100 millis")
      hasTaken ||= isHere(theirs)
    }
    assert.deepStrictEqual([...members.keys()], [own.host])
    members.set(other.host, true)
    yield* pass("30 seconds")
    assert.strictEqual(idThatIs(false), theirs)
    return hasTaken
  })

describe("the first one to find the storage again", () => {
  it.effect("takes what was its own, and leaves the others theirs", () =>
    Effect.gen(function* () {
      const settings = { address: { host: own.host, port: own.port }, lease: Duration.seconds(15) }
      const members = Layer.succeed(Members.Members, Members.make(settings))
      const decorated = (storage: Layer.Layer<RunnerStorage.RunnerStorage>) =>
        Members.layer(settings).pipe(Layer.provide([storage, members]))
      assert.isFalse(yield* takes({ decorated }))
    })
  )

  it.effect("would take everything, and hand it over again, if nobody were counted who was there before", () =>
    Effect.map(takes(), (hasTaken) => assert.isTrue(hasTaken))
  )
})
