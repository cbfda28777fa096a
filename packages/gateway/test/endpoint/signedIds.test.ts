/** What an id of a session opens, and what it does not. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { randomBytes } from "node:crypto"
import * as SignedIds from "../../src/internal/endpoint/signedIds.ts"

const words = { protocolVersion: "2025-11-25", capabilities: { sampling: {} }, clientInfo: { name: "ü", version: "1" } }

const make = (key = randomBytes(32), onUnsigned = () => {}) =>
  Effect.map(Clock.Clock, (clock) => SignedIds.make({ key, clock, lifetime: Duration.days(7), onUnsigned }))

describe("the id of a session", () => {
  it.effect("opens it again at every gateway that has the key, with its host's own words", () =>
    Effect.gen(function* () {
      const key = randomBytes(32)
      const id = (yield* make(key)).make(words)
      assert.match(id, /^[\x21-\x7e]{1,4500}$/)
      assert.deepStrictEqual((yield* make(key)).resume(id), words)
      assert.isUndefined((yield* make()).resume(id))
    })
  )

  it.effect("opens nothing where any of it was changed, cut or put together from others", () =>
    Effect.gen(function* () {
      const ids = yield* make()
      const [one, other] = [ids.make(words), ids.make({ ...words, capabilities: {} })]
      assert.notStrictEqual(ids.make(words), one)
      for (let at = 0; at < one.length; at++) {
        const changed = `${one.slice(0, at)}${one[at] === "A" ? "B" : "A"}${one.slice(at + 1)}`
        assert.isUndefined(ids.resume(changed), `changed at ${at}`)
        assert.isUndefined(ids.resume(one.slice(0, at)), `cut at ${at}`)
      }
      const parts = (id: string) => id.split(".")
      for (let part = 0; part < 4; part++) {
        const mixed = parts(one).map((text, index) => (index === part ? (parts(other)[part] ?? "") : text))
        if (mixed.join(".") !== one) assert.isUndefined(ids.resume(mixed.join(".")), `with another part ${part}`)
      }
      // what base64 would read as the same bytes
      for (const spelled of [`${one}=`, `${one}!`, `${one} `]) assert.isUndefined(ids.resume(spelled))
      for (const nothing of ["", ".", "...", "x", "a.b.c.d"]) assert.isUndefined(ids.resume(nothing))
    })
  )

  it.effect("opens nothing once its time is over", () =>
    Effect.gen(function* () {
      const ids = yield* make()
      const id = ids.make(words)
      yield* TestClock.adjust("7 days")
      assert.deepStrictEqual(ids.resume(id), words)
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(ids.resume(id))
    })
  )

  it.effect("is short, and of this gateway alone, where a host says too much of itself", () =>
    Effect.gen(function* () {
      let told = 0
      const ids = yield* make(randomBytes(32), () => void told++)
      // of few characters, and many bytes
      for (const name of ["x".repeat(10_000), "\u{1F600}".repeat(1000)]) {
        const id = ids.make({ ...words, clientInfo: { name, version: "1" } })
        assert.isBelow(id.length, 32)
        assert.isUndefined(ids.resume(id))
      }
      assert.strictEqual(told, 1)
    })
  )
})
