/** Tests that mostly wait, all at once. */
import { afterAll, beforeAll, it } from "@effect/vitest"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect, type Scope } from "effect"

/**
 * For the tests of the `describe` in which it is called: they run beside each other, in a scope each, and after the last one no
 * socket, timer and process is left of them.
 */
export const leavingNothing = () => {
  let check: Leftovers.Leftovers["check"] = Effect.void
  beforeAll(async () => {
    check = (await Effect.runPromise(Leftovers.make())).check
  })
  afterAll(() => Effect.runPromise(check))
  return <E>(name: string, body: () => Effect.Effect<unknown, E, Scope.Scope>) =>
    it.live(name, () => Effect.scoped(body()), { concurrent: true })
}
