/** How long an answer is waited for: as long as whoever has the message may still give one. */
import { assert, describe, it } from "@effect/vitest"
import { BackendError } from "@vmcp-keepalive/core"
import { Duration, Effect, Exit, Fiber, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Ticket } from "../src/internal/once/ticket.ts"
import { asking } from "./support/asking.ts"
import * as Patience from "../src/internal/view/patience.ts"
import { left } from "../src/internal/view/reach.ts"

const request = {
  kind: "request",
  method: "tools/call",
  params: undefined,
  idempotent: false,
  label: 0,
  caller: "caller",
  pin: undefined
} as const

/** A call that one owner has taken and never answers, while another one, or the same, keeps the backend. */
const taken = (keeps: string | undefined) =>
  Effect.flatMap(Patience.make(Duration.seconds(10)), (patience) =>
    asking({
      id: "tools",
      patience,
      local: () => undefined,
      isLeft: () => false,
      owner: Effect.succeed(keeps),
      send: () =>
        Effect.flatMap(Effect.serviceOption(Ticket), (ticket) => {
          Object.assign(Option.getOrThrow(ticket), { written: true, to: "10.0.0.1:7777" })
          return Effect.never
        })
    })(request)
  )

describe("an owner that has taken a call and does not answer", () => {
  it.effect("is waited for no more once another process keeps the backend", () =>
    Effect.gen(function* () {
      const call = yield* Effect.forkChild(Effect.flip(taken("10.0.0.2:7777")), { startImmediately: true })
      yield* TestClock.adjust("17 seconds")
      assert.instanceOf(yield* Fiber.join(call), BackendError.OutcomeUnknown)
    })
  )

  it.effect.each([["it keeps it itself", "10.0.0.1:7777"] as const, ["nobody does", undefined] as const])(
    "is waited for while %s",
    ([, keeps]) =>
      Effect.gen(function* () {
        const call = yield* Effect.forkChild(taken(keeps), { startImmediately: true })
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(call.pollUnsafe())
        yield* Fiber.interrupt(call)
      })
  )
})

/** Asks for a backend of which no process is seen to be the owner. */
const unkept = (patience: Patience.Patience, send: () => Effect.Effect<never, unknown>) =>
  asking({ id: "tools", patience, local: () => undefined, isLeft: () => false, owner: Effect.undefined, send })

describe("a backend that no process keeps", () => {
  it.effect("is waited for as long as the calls to it may wait, each for itself", () =>
    Effect.gen(function* () {
      const patience = yield* Patience.make(Duration.seconds(10))
      const call = unkept(patience, () => Effect.never)(request)
      const failed = () => Effect.forkChild(Effect.flip(call), { startImmediately: true })
      const first = yield* failed()
      yield* TestClock.adjust("4 seconds")
      const second = yield* failed()
      yield* TestClock.adjust("5900 millis")
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("300 millis")
      assert.instanceOf(yield* Fiber.join(first), BackendError.SessionUnavailable)
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("4 seconds")
      assert.instanceOf(yield* Fiber.join(second), BackendError.SessionUnavailable)
    })
  )
})

describe("a backend that has ended where it was kept", () => {
  const ended = new BackendError.CallRejected({
    backend: "tools",
    state: "Closed",
    reason: "closed",
    detail: undefined,
    retryAfter: undefined
  })
  const answer = { _tag: "Answer", isError: false, json: "{}", told: 0 } as const

  const asked = (isListed: boolean) => {
    let tries = 0
    return Effect.flatMap(Patience.make(Duration.seconds(10)), (patience) =>
      asking({
        id: "tools",
        patience,
        local: () => undefined,
        isLeft: left(() => isListed),
        owner: Effect.succeed(undefined),
        send: () =>
          Effect.flatMap(Effect.serviceOption(Ticket), (ticket) => {
            Object.assign(Option.getOrThrow(ticket), { written: true })
            return ++tries < 3 ? Effect.fail(ended) : Effect.succeed(answer)
          })
      })(request)
    )
  }

  it.effect("has executed nothing: the next owner is asked, as long as it is listed", () =>
    Effect.gen(function* () {
      const call = yield* Effect.forkChild(asked(true), { startImmediately: true })
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* Fiber.join(call), answer)
    })
  )

  it.effect("rejects the call where it is listed no longer", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(asked(false)), ended)
    })
  )
})

describe("a process that ends", () => {
  /** A call in a process that ends a second later: none of its messages is answered, and where it is `written` an owner may have it. */
  const ending = (written: boolean, idempotent = false) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const patience = yield* Scope.provide(Patience.make(Duration.seconds(10)), scope)
      const call = unkept(patience, () =>
        Effect.flatMap(Effect.serviceOption(Ticket), (ticket) => {
          Object.assign(Option.getOrThrow(ticket), { written })
          return written ? Effect.interrupt : Effect.fail("not its owner")
        })
      )({ ...request, idempotent })
      const failed = Effect.forkChild(Effect.flip(call), { startImmediately: true })
      const before = yield* failed
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      const after = yield* failed
      return [yield* Fiber.join(before), yield* Fiber.join(after)] as const
    })

  it.effect("has no call wait for an owner, nor one that begins later", () =>
    Effect.gen(function* () {
      const [before, after] = yield* ending(false)
      assert.instanceOf(before, BackendError.SessionUnavailable)
      assert.instanceOf(after, BackendError.SessionUnavailable)
    })
  )

  it.effect.each([[false] as const, [true] as const])(
    "does not deny a call that an owner had, which may be made again: %s",
    ([idempotent]) =>
      Effect.gen(function* () {
        const [before] = yield* ending(true, idempotent)
        assert.instanceOf(before, BackendError.OutcomeUnknown)
      })
  )
})
