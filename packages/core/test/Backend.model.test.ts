/**
 * `Backend` against a model whose oracle is what the server executed: random lives of a backend, its callers, its
 * operator and its server, in virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Backend, type BackendError, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

// ------------------------------------------------------------------------------------------------- what can happen

type Operation =
  | { readonly _tag: "Call"; readonly kind: "once" | "idempotent" | "list" | "deaf" | "pinned" | "two" | "lanes" }
  | { readonly _tag: "Interrupt"; readonly nth: number }
  | { readonly _tag: "Wait"; readonly time: Duration.Input }
  | { readonly _tag: "Reply"; readonly to: "connect" | "probe" | "call" | "all"; readonly reply: ScriptedServer.Reply }
  /** to the next call alone */
  | { readonly _tag: "Hiccup"; readonly reply: ScriptedServer.Reply }
  | { readonly _tag: "Latency"; readonly latency: Duration.Input }
  /** the server does everything right again */
  | { readonly _tag: "Heal" }
  | {
      readonly _tag: "Server"
      readonly does: "forget" | "kill" | "chunk" | "progress" | "one session" | "many sessions"
    }
  | { readonly _tag: "Operator"; readonly command: "reconnect" | "isolate" | "reset" | "probe" }

const replies: ReadonlyArray<ScriptedServer.Reply> = [
  ...[404, 400, 401, 403, 429, 500, 503, 303, 307].map((status) => ScriptedServer.refuse(status)),
  ScriptedServer.overflow,
  ScriptedServer.refuse(429, "20 seconds"),
  ScriptedServer.unreachable("refused"),
  ScriptedServer.unreachable("reset"),
  ScriptedServer.error(-32603),
  ScriptedServer.error(-32601)
]

const anyReply = fc.oneof(
  { weight: 4, arbitrary: fc.constant(ScriptedServer.answer) },
  { weight: 2, arbitrary: fc.constant(ScriptedServer.silence) },
  { weight: 2, arbitrary: fc.constant(ScriptedServer.cut) },
  { weight: 4, arbitrary: fc.constantFrom(...replies) }
)

const anyOperation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      _tag: fc.constant("Call" as const),
      kind: fc.constantFrom(
        "once" as const,
        "once",
        "idempotent",
        "idempotent",
        "list",
        "deaf",
        "pinned",
        "two",
        "lanes"
      )
    })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Interrupt" as const), nth: fc.nat(5) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      _tag: fc.constant("Wait" as const),
      time: fc.constantFrom(0, 1, 50, 1000, 1000, 3000, 3000, 11_000, 61_000)
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("Reply" as const),
      to: fc.constantFrom("connect" as const, "probe", "call", "call", "call", "all"),
      reply: anyReply
    })
  },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Hiccup" as const), reply: anyReply }) },
  { weight: 4, arbitrary: fc.constant({ _tag: "Heal" } as const) },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("Latency" as const), latency: fc.constantFrom(0, 20, 4000, 11_000) })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Server" as const),
      does: fc.constantFrom("forget" as const, "forget", "kill", "chunk", "progress", "one session", "many sessions")
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Operator" as const),
      command: fc.constantFrom(
        "reconnect" as const,
        "reconnect",
        "reconnect",
        "isolate",
        "reset",
        "reset",
        "reset",
        "probe"
      )
    })
  }
)

const anyLife = fc.record({
  seed: fc.nat(1_000_000),
  exclusive: fc.boolean(),
  stateful: fc.boolean(),
  separateAnswers: fc.boolean(),
  otherCredentials: fc.boolean(),
  policy: fc.record({
    interval: fc.constant("30 seconds" as const),
    circuit: fc.constantFrom<NonNullable<KeepalivePolicy.Options["circuit"]>>("none", { failures: 1 }, { failures: 3 }),
    failureThreshold: fc.constantFrom(1, 3),
    stableAfter: fc.constantFrom(0, 5000),
    staleAfter: fc.constantFrom(2000, 60_000),
    drainTimeout: fc.constantFrom(0, 30_000),
    inFlightGrace: fc.constantFrom(5000, 300_000),
    connect: fc.constantFrom("eager" as const, "lazy" as const),
    idleAfter: fc.constantFrom("never" as const, "20 seconds" as const),
    probe: fc.constantFrom<KeepalivePolicy.ProbeMethod>("auto", "none", "list-tools")
  }),
  operations: fc.array(anyOperation, { minLength: 1, maxLength: 60, size: "max" })
})

type Life = typeof anyLife extends fc.Arbitrary<infer A> ? A : never

// ------------------------------------------------------------------------------------------------------- the model

type Outcome = Exit.Exit<unknown, BackendError.BackendError>

interface Call {
  readonly name: string
  readonly kind: Extract<Operation, { _tag: "Call" }>["kind"]
  readonly fiber: Fiber.Fiber<unknown, BackendError.BackendError>
  outcome: Outcome | undefined
  settled: number
}

/**
 * Whatever can go on without time has done so. Virtual time waits for the fibers that it wakes, but not for what a promise of the
 * client's leads to: it would run past what that has still to wait for.
 */
const promisesSettled = Effect.promise(() => new Promise<void>((resolve) => void setImmediate(resolve)))

const live = Effect.fnUntraced(function* (life: Life) {
  const server = ScriptedServer.make(life)
  const { script } = server
  script.otherCredentials = () => life.otherCredentials
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const calls: Array<Call> = []
  const scope = yield* Scope.make()
  const backend = yield* Backend.make({ id: "model", connector: server.connector, policy: life.policy }).pipe(
    Scope.provide(scope),
    Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event)))
  )

  /** what was told to wait for ever */
  const silenced = new Set<string>()
  const scripted = (reply: ScriptedServer.Reply) => (name: string) => {
    if (reply._tag === "Silence") silenced.add(name)
    return reply
  }

  const call = Effect.fnUntraced(function* (kind: Call["kind"]) {
    const name = `call${calls.length}`
    const tool = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool(name, { signal })
    const effect: Effect.Effect<unknown, BackendError.BackendError> = {
      once: () => backend.use(tool),
      idempotent: () => backend.use(tool, { idempotent: true }),
      list: () => backend.use((client) => client.listTools()),
      deaf: () => backend.use((client) => client.callTool(name)),
      pinned: () => backend.pinned((session) => session.use(tool)),
      two: () => backend.use((client, signal) => client.listTools({ signal }).then(() => tool(client, signal))),
      // two lanes that know nothing of each other, as of an app that works off a queue
      lanes: () =>
        backend.use((client) => {
          const lane = async (tools: ReadonlyArray<string>) => {
            for (const each of tools) await client.callTool(each)
          }
          return Promise.all([lane([`${name}/a1`, `${name}/a2`]), lane([`${name}/b1`, `${name}/b2`])])
        })
    }[kind]()
    const fiber = yield* Effect.forkDetach(
      Effect.onExit(effect, (exit) =>
        Effect.sync(() => {
          made.outcome = exit
          made.settled++
        })
      ),
      { startImmediately: false }
    )
    const made: Call = { name, kind, fiber, outcome: undefined, settled: 0 }
    calls.push(made)
    yield* Effect.yieldNow
  })

  const perform = Effect.fnUntraced(function* (operation: Operation) {
    switch (operation._tag) {
      case "Call":
        return yield* call(operation.kind)
      case "Interrupt": {
        const open = calls.filter((each) => each.outcome === undefined)
        const chosen = open[operation.nth % Math.max(1, open.length)]
        if (chosen) yield* Fiber.interrupt(chosen.fiber)
        return
      }
      case "Wait":
        return yield* TestClock.adjust(operation.time)
      case "Reply": {
        const { reply, to } = operation
        if (to === "connect" || to === "all") script.connect = reply
        if (to === "probe" || to === "all") script.probe = reply
        if (to === "call" || to === "all") script.call = scripted(reply)
        return
      }
      case "Hiccup": {
        const after = script.call
        script.call = (name) => {
          script.call = after
          return scripted(operation.reply)(name)
        }
        return
      }
      case "Heal":
        script.connect = script.probe = ScriptedServer.answer
        script.call = scripted(ScriptedServer.answer)
        script.latency = 0
        return
      case "Latency":
        script.latency = operation.latency
        return
      case "Server":
        if (operation.does === "forget") server.forgetSessions()
        else if (operation.does === "kill") server.kill("process_exit")
        else if (operation.does === "chunk") server.chunk()
        else if (operation.does === "progress") server.progress()
        else script.singleSession = operation.does === "one session"
        return yield* Effect.yieldNow
      case "Operator":
        return yield* Effect.forkDetach(
          Effect.exit<unknown, BackendError.BackendError, never>(backend[operation.command])
        )
    }
  })

  for (const operation of life.operations) yield* perform(operation)
  // whoever waits for a session, a decision or credentials has waited long enough; a server may let its caller wait for ever
  yield* perform({ _tag: "Heal" })
  for (let second = 0; second < 60; second++) {
    yield* TestClock.adjust("1 second")
    yield* promisesSettled
  }
  const hanging = calls.filter(
    ({ name, settled }) => settled === 0 && ![...silenced].some((each) => each.startsWith(name))
  )
  yield* Scope.close(scope, Exit.void)
  for (let turn = 0; turn < 20 && calls.some((each) => each.settled === 0); turn++) yield* Effect.yieldNow
  return { calls, events, hanging, server }
})

const check = ({ calls, events, hanging, server }: Effect.Success<ReturnType<typeof live>>): void => {
  const executed = new Map<string, number>()
  for (const name of server.executed) executed.set(name, (executed.get(name) ?? 0) + 1)

  assert.deepStrictEqual(
    hanging.map(({ kind, name }) => `${name} (${kind})`),
    [],
    "no call waits for what never comes"
  )
  for (const { kind, name, outcome, settled } of calls) {
    const parts = kind === "lanes" ? ["a1", "a2", "b1", "b2"].map((part) => `${name}/${part}`) : [name]
    const times = Math.max(...parts.map((part) => executed.get(part) ?? 0))
    assert.strictEqual(settled, 1, `${name} (${kind}) settles exactly once`)
    if (outcome === undefined) continue
    const text = `${name} (${kind}) ended as ${Exit.isSuccess(outcome) ? "ok" : String(outcome.cause)}, was executed ${times} times`
    if (kind !== "idempotent") assert.isAtMost(times, 1, `${text}: it is not replayable`)
    if (Exit.isSuccess(outcome)) {
      if (kind !== "list") assert.isAtLeast(times, 1, `${text}: an answer means that it was executed`)
      continue
    }
    const failure = outcome.cause.reasons.find((reason) => reason._tag === "Fail")
    assert.isUndefined(
      outcome.cause.reasons.find((reason) => reason._tag === "Die"),
      `${text}: no defect`
    )
    const error = failure?.error
    if (error === undefined) continue
    if (error._tag === "SessionUnavailable" || error._tag === "CallRejected" || error._tag === "SessionReplaced") {
      assert.strictEqual(times, 0, `${text}: rejected means not executed`)
    }
    // of several lanes some may have been answered before another failed, and an answer is the truth about a second run
    const isSure =
      kind !== "lanes" && (kind !== "idempotent" || (error._tag === "CallFailed" && error.reason !== undefined))
    if (error._tag === "CallFailed" && isSure) {
      assert.strictEqual(times, 0, `${text}: failed means not executed`)
    }
  }

  assert.isAtMost(server.counts.concurrent, 1, "one attempt or probe runs at most")
  assert.strictEqual(server.counts.open, 0, "no session outlives the scope")
  const closed = events.flatMap((event) => (event._tag === "SessionClosed" ? [event.generation] : []))
  const opened = events.flatMap((event) => (event._tag === "AttemptSucceeded" ? [event.generation] : []))
  assert.deepStrictEqual(closed.toSorted(), opened.toSorted(), "every session that was opened is closed once")
  let state = events.find((event) => event._tag === "StateChanged")?.from
  for (const event of events) {
    if (event._tag !== "StateChanged") continue
    assert.strictEqual(event.from, state, "every change of state begins where the last one ended")
    state = event.to
  }
}

// ------------------------------------------------------------------------------------------------------- the tests

describe("a backend, whatever happens", () => {
  it("loses no call, settles each once, executes none twice that must not be, and leaves no session", async () => {
    const figures = { calls: 0, ok: 0, replayed: 0, executed: 0 }
    await fc.assert(
      fc.asyncProperty(anyLife, async (life) => {
        const lived = await Effect.runPromise(
          live(life).pipe(Random.withSeed(life.seed), Effect.provide(TestClock.layer()))
        )
        figures.calls += lived.calls.length
        figures.ok += lived.calls.filter(({ outcome }) => outcome && Exit.isSuccess(outcome)).length
        figures.executed += lived.server.executed.length
        figures.replayed += lived.events.filter(
          (event) => event._tag === "CallSettled" && event.outcome === "ok" && event.replayed
        ).length
        check(lived)
      }),
      { numRuns: Number(process.env["MODEL_RUNS"] ?? 2000) }
    )
    // the lives are worth something only if calls succeed, fail and are replayed in them
    if (process.env["MODEL_FIGURES"] !== undefined) console.log(figures)
    assert.isAbove(figures.ok, figures.calls / 10)
    assert.isAbove(figures.calls - figures.ok, figures.calls / 10)
    assert.isAbove(figures.replayed, 0)
  }, 120_000)
})
