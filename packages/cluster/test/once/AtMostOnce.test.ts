/** What becomes of a request whose way to the owner breaks: a call of which a byte may have left is ended, everything else is the engine's to send again. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { ClusterError, MessageStorage, RunnerAddress, Runners, ShardingConfig } from "effect/cluster"
import type { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import * as Connections from "../../src/internal/engine/connections.ts"
import type { Hearer } from "../../src/internal/engine/link.ts"
import * as AtMostOnce from "../../src/internal/once/AtMostOnce.ts"
import { type State, Ticket } from "../../src/internal/once/ticket.ts"
import * as Protocol from "../../src/internal/protocol.ts"
import { outgoing } from "../engine/outgoing.ts"

const address = RunnerAddress.RunnerAddress.make({ host: "10.0.0.2", port: 7777 })

const call = {
  kind: "request",
  method: "tools/call",
  params: undefined,
  idempotent: false,
  caller: "caller",
  label: 0,
  pin: undefined
} as const

/** How a connection takes a request. */
const takes = {
  "is not there": (opener) => {
    queueMicrotask(opener.ended)
    return false
  },
  "breaks under the write": (opener) => {
    queueMicrotask(opener.ended)
    return true
  },
  "has it, and answers nothing": () => true
} satisfies Record<string, (opener: Hearer) => boolean>

const runners = (how: keyof typeof takes) =>
  Effect.gen(function* () {
    const connections = Layer.succeed(Connections.Connections, {
      open: (_, opener) => {
        queueMicrotask(opener.opened)
        return { send: () => takes[how](opener), end: () => queueMicrotask(opener.ended), stranger: undefined }
      }
    })
    const layer = AtMostOnce.layer(Duration.seconds(5)).pipe(
      Layer.provide([connections, MessageStorage.layerNoop, ShardingConfig.layerDefaults])
    )
    return Context.get(yield* Layer.build(layer), Runners.Runners)
  })

/** Asks one that may be asked twice, and makes a call, which may not. */
const asked = (how: keyof typeof takes, tag: "Call" | "State") =>
  Effect.gen(function* () {
    const made = yield* runners(how)
    const ticket: State = { written: false }
    const context = Context.make(Ticket, ticket)
    const { answers, send, sendLocal } =
      tag === "State"
        ? sending(made, outgoing(Protocol.State, "State", undefined, context))
        : sending(made, outgoing(Protocol.Call, "Call", call, context))
    const asking = yield* Effect.forkChild(Effect.provideService(send, Ticket, ticket), { startImmediately: true })
    yield* TestClock.adjust(0)
    return { made, answers, ticket, asking, sendLocal }
  })

const sending = <R extends Rpc.Any>(
  made: Runners.Runners["Service"],
  { answers, message }: ReturnType<typeof outgoing<R>>
) => ({
  answers,
  send: made.send({ address, message }),
  sendLocal: made.sendLocal({ message, send: () => Effect.never, simulateRemoteSerialization: false })
})

const isUnavailable = (exit: Exit.Exit<unknown, unknown> | undefined) => {
  const unavailable: Exit.Exit<unknown, unknown> = Exit.fail(new ClusterError.RunnerUnavailable({ address }))
  assert.deepStrictEqual(exit, unavailable)
}

describe("a request to the owner", () => {
  it.effect.each(["Call", "State"] as const)("of which nothing was written goes to the next one: %s", (tag) =>
    Effect.gen(function* () {
      const { answers, asking, ticket } = yield* asked("is not there", tag)
      isUnavailable(asking.pollUnsafe())
      assert.deepStrictEqual({ answers, ticket }, { answers: [], ticket: { written: false, ...toOf(tag) } })
    })
  )

  it.effect("under whose write the connection breaks is ended where it is a call, with a ticket that says so", () =>
    Effect.gen(function* () {
      const { answers, asking, ticket } = yield* asked("breaks under the write", "Call")
      assert.deepStrictEqual(asking.pollUnsafe(), Exit.void)
      assert.deepStrictEqual(answers, ["ended"])
      assert.isTrue(ticket.written)
    })
  )

  it.effect("under whose write the connection breaks goes to the next one where it may be asked twice", () =>
    Effect.gen(function* () {
      const { answers, asking } = yield* asked("breaks under the write", "State")
      isUnavailable(asking.pollUnsafe())
      assert.deepStrictEqual(answers, [])
    })
  )

  it.effect.each([["Call", ["ended"]] as const, ["State", []] as const])(
    "that has left the cluster with it is waited for as long as it may still answer: %s",
    ([tag, told]) =>
      Effect.gen(function* () {
        const { answers, asking, made } = yield* asked("has it, and answers nothing", tag)
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(asking.pollUnsafe())
        yield* made.onRunnerUnavailable(address)
        yield* TestClock.adjust("4900 millis")
        assert.isUndefined(asking.pollUnsafe())
        yield* TestClock.adjust("200 millis")
        if (tag === "State") isUnavailable(asking.pollUnsafe())
        else assert.deepStrictEqual(asking.pollUnsafe(), Exit.void)
        assert.deepStrictEqual(answers, [...told])
      })
  )

  it.effect(
    "that has become one of this process is its own, and no more that of the one that it was sent to before",
    () =>
      Effect.gen(function* () {
        const { sendLocal, ticket } = yield* asked("is not there", "Call")
        assert.strictEqual(ticket.to, "10.0.0.2:7777")
        const asking = yield* Effect.forkChild(Effect.provideService(sendLocal, Ticket, ticket), {
          startImmediately: true
        })
        assert.deepStrictEqual(ticket, { written: true, to: undefined })
        yield* Fiber.interrupt(asking)
      })
  )
})

const toOf = (tag: "Call" | "State") => (tag === "Call" ? { to: "10.0.0.2:7777" } : {})
