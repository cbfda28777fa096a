import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as fc from "fast-check"
import { type Action, Transition } from "../src/engine/index.ts"
import { ConnectionState, KeepalivePolicy } from "../src/index.ts"
import * as Table from "./support/table.ts"
import {
  authRejected,
  busy,
  callAnswered,
  callStarted,
  closed,
  doubt,
  due,
  failed,
  jumped,
  lost,
  operator,
  reconfigured,
  rules,
  stable,
  succeeded,
  succeededInUse,
  succeededUnprobed,
  walk,
  type Walk
} from "./support/table.ts"

const state = ({ world }: Walk) => world.model.state
const tag = (walked: Walk) => state(walked)._tag
const ofKind = <Tag extends Action.Action["_tag"]>({ actions }: Walk, kind: Tag) =>
  actions.filter((action): action is Extract<Action.Action, { _tag: Tag }> => action._tag === kind)
const started = (walked: Walk) => ofKind(walked, "Run").map((action) => action.kind)
const armed = (walked: Walk) => ofKind(walked, "Arm").map(({ schedule, timer }) => `${timer}: ${schedule}`)
const told = (walked: Walk) => ofKind(walked, "Emit").map((action) => action.happening._tag)
const dropped = (walked: Walk) =>
  ofKind(walked, "Drop").map(({ drain, reason }) => `${reason}${drain === undefined ? "" : `, drained for ${drain}`}`)

describe("the table, at random", () => {
  it("keeps every promise over 100,000 steps at random", () => {
    let steps = 0
    const anyRules = fc.record({
      failureThreshold: fc.integer({ min: 1, max: 5 }),
      circuitFailures: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(Number.POSITIVE_INFINITY)),
      connect: fc.constantFrom("eager" as const, "lazy" as const),
      reattempt: fc.constantFrom("immediate" as const, "backoff" as const),
      sleepsWhenIdle: fc.boolean(),
      expires: fc.boolean(),
      exclusive: fc.boolean(),
      busyAttempts: fc.integer({ min: 1, max: 24 })
    })
    // Isolated and Closed are rare, so that a walk is long
    const anyMoves = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 19 })), {
      minLength: 1,
      maxLength: 400,
      size: "max"
    })
    fc.assert(
      fc.property(anyRules, anyMoves, (over, moves) => {
        const given = rules(over)
        let world = Table.begin(given)
        for (const [choice, chance] of moves) {
          const possible = Table.signals(world.model, given.inFlightGrace).filter(
            (signal) =>
              Table.isPossible(world, signal) &&
              (chance === 0 ||
                (signal._tag !== "Closed" && !(signal._tag === "Operator" && signal.command === "isolate")))
          )
          const signal = possible[choice % possible.length]
          if (signal) world = Table.take(given, world, signal)
          steps++
        }
      }),
      { numRuns: 1000 }
    )
    assert.isAbove(steps, 100_000)
  }, 60_000)
})

describe("attempts and the circuit", () => {
  it("Connecting, Disconnected with backoff, Connecting, CircuitOpen, trial, Connected", () => {
    const given = rules({ circuitFailures: 2 })
    const once = walk(given, failed("refused"))
    assert.deepStrictEqual(state(once), { _tag: "Disconnected", attempt: 1, reason: "refused" })
    assert.deepStrictEqual(armed(once), ["attempt: backoff"])
    const second = walk(given, failed("refused"), due("attempt"))
    assert.deepStrictEqual(state(second), { _tag: "Connecting", attempt: 2, trial: false, reason: "refused" })
    const open = walk(given, failed("refused"), due("attempt"), failed("dns"))
    assert.deepStrictEqual(state(open), { _tag: "CircuitOpen", openings: 1, reason: "dns" })
    assert.deepStrictEqual(armed(open), ["attempt: openFor"])
    const trial = walk(given, failed("refused"), due("attempt"), failed("dns"), due("attempt"))
    assert.deepStrictEqual(state(trial), { _tag: "Connecting", attempt: 3, trial: true, reason: "dns" })
    const healed = walk(given, failed("refused"), due("attempt"), failed("dns"), due("attempt"), succeeded)
    assert.deepStrictEqual(state(healed), { _tag: "Connected", generation: 1 })
  })

  it("the circuit always gets another trial, each after the next, longer delay", () => {
    const again = walk(rules({ circuitFailures: 1 }), failed("refused"), due("attempt"), failed("timeout"))
    assert.deepStrictEqual(state(again), { _tag: "CircuitOpen", openings: 2, reason: "timeout" })
    assert.deepStrictEqual(armed(again), ["attempt: openFor"])
  })

  it("without a circuit, attempts go on with backoff for ever", () => {
    const moves = Array.from({ length: 100 }, () => [failed("refused"), due("attempt")]).flat()
    const walked = walk(rules({ circuitFailures: Number.POSITIVE_INFINITY }), ...moves, failed("refused"))
    assert.deepStrictEqual(state(walked), { _tag: "Disconnected", attempt: 101, reason: "refused" })
  })

  it("a busy attempt is no failure and waits for Retry-After", () => {
    const walked = walk(rules(), busy(Duration.seconds(7)))
    assert.deepStrictEqual(state(walked), { _tag: "Disconnected", attempt: 0, reason: "busy" })
    assert.deepStrictEqual(armed(walked), ["attempt: retryAfter"])
    assert.deepStrictEqual(ofKind(walked, "Arm")[0]?.notBefore, Duration.seconds(7))
  })

  describe("busy without an end, with Retry-After or without, also of 0 seconds,", () => {
    const round = (retryAfter?: Duration.Duration) => [busy(retryAfter), due("attempt")]
    const rounds = (count: number, retryAfter?: Duration.Duration) =>
      Array.from({ length: count }, () => round(retryAfter)).flat()

    for (const retryAfter of [Duration.zero, Duration.seconds(7), undefined]) {
      it(`is a failure from the busyAttempts-th answer on (${retryAfter}): the delays grow, and the circuit opens`, () => {
        const given = rules({ circuitFailures: 2, busyAttempts: 8 })
        const before = walk(given, ...rounds(6, retryAfter), busy(retryAfter))
        assert.deepStrictEqual(state(before), { _tag: "Disconnected", attempt: 0, reason: "busy" })
        const first = walk(given, ...rounds(7, retryAfter), busy(retryAfter))
        assert.deepStrictEqual(state(first), { _tag: "Disconnected", attempt: 1, reason: "busy" })
        assert.deepStrictEqual(armed(first), ["attempt: backoff"])
        assert.deepStrictEqual(ofKind(first, "Arm")[0]?.notBefore, retryAfter)
        const open = walk(given, ...rounds(8, retryAfter), busy(retryAfter))
        assert.deepStrictEqual(state(open), { _tag: "CircuitOpen", openings: 1, reason: "busy" })
        assert.deepStrictEqual(armed(open), ["attempt: openFor"])
        const trial = walk(given, ...rounds(9, retryAfter), busy(retryAfter))
        assert.deepStrictEqual(state(trial), { _tag: "CircuitOpen", openings: 2, reason: "busy" })
      })
    }

    it("begins its row anew after a failure, a rejection, a session and a reset", () => {
      const given = rules({ circuitFailures: 9, busyAttempts: 2 })
      for (const between of [
        [failed("refused"), due("attempt")],
        [authRejected, failed("refused"), due("attempt")],
        [succeeded, lost(), due("attempt")],
        [operator("reset")]
      ]) {
        const { model } = walk(given, busy(), due("attempt"), ...between).world
        const walked = walk(given, busy(), due("attempt"), ...between, busy())
        assert.strictEqual(walked.world.model.failures, model.failures)
      }
      const row = walk(given, busy(), due("attempt"), busy())
      assert.strictEqual(row.world.model.failures, 1)
    })

    it("slows down also without a circuit: from 20 in a row on", () => {
      const { policy } = KeepalivePolicy.resolve(
        { circuit: "none" },
        { connectTimeout: "30 seconds", supportsOptions: true }
      )
      const given = Transition.rules(policy, { exclusive: false })
      const walked = walk(given, ...rounds(19, Duration.zero), busy(Duration.zero))
      assert.deepStrictEqual(state(walked), { _tag: "Disconnected", attempt: 1, reason: "busy" })
      assert.deepStrictEqual(armed(walked), ["attempt: backoff"])
    })
  })

  it("one whose time ran out while this process was late proves nothing: it is made again, uncounted", () => {
    const given = rules({ circuitFailures: 1 })
    const late = walk(given, failed("timeout", { late: true }))
    assert.deepStrictEqual(state(late), { _tag: "Connecting", attempt: 1, trial: false, reason: undefined })
    assert.deepStrictEqual(started(late), ["attempt"])
    assert.strictEqual(late.world.model.failures, 0)
    const replacing = walk(given, ...stable, operator("reconnect"), failed("timeout", { late: true }))
    assert.deepStrictEqual(state(replacing), { _tag: "Connected", generation: 1 })
    assert.deepStrictEqual(started(replacing), ["attempt"])
  })

  it("carries the last reason, until an operator resets it", () => {
    const reasons = (...moves: ReadonlyArray<Table.Move>) => {
      const at = state(walk(rules(), ...moves))
      return at._tag === "Connecting" ? at.reason : at._tag
    }
    assert.isUndefined(reasons())
    assert.strictEqual(reasons(failed("dns"), due("attempt")), "dns")
    assert.strictEqual(reasons(authRejected, authRejected, due("attempt")), "auth")
    assert.strictEqual(reasons(...stable, operator("reconnect"), lost("reset")), "reset")
    assert.isUndefined(reasons(failed("dns"), operator("reset")))
    assert.isUndefined(reasons(failed("dns"), due("attempt"), operator("reset")))
  })

  it("a busy trial keeps its openings", () => {
    const walked = walk(rules({ circuitFailures: 1 }), failed("refused"), due("attempt"), busy(Duration.seconds(7)))
    assert.deepStrictEqual(state(walked), { _tag: "CircuitOpen", openings: 1, reason: "busy" })
    assert.notInclude(told(walked), "CircuitOpened")
  })

  it("rejected once: credentials are read again; rejected twice: needs auth, and is retried on openFor", () => {
    const once = walk(rules(), authRejected)
    assert.deepStrictEqual(
      ofKind(once, "Run").map((run) => run.refresh),
      [true]
    )
    const twice = walk(rules(), authRejected, authRejected)
    assert.deepStrictEqual(state(twice), { _tag: "NeedsAuth" })
    assert.deepStrictEqual(armed(twice), ["attempt: openFor"])
    assert.strictEqual(twice.world.model.failures, 0)
    assert.strictEqual(tag(walk(rules(), authRejected, authRejected, due("attempt"))), "Connecting")
  })

  it("refused while an older session drains: that one goes first, and it is made again, uncounted", () => {
    const walked = walk(rules({ circuitFailures: 1 }), failed("http_4xx", { draining: true }))
    assert.strictEqual(tag(walked), "Connecting")
    assert.deepStrictEqual(
      walked.actions.map(({ _tag }) => _tag),
      ["DropDraining", "Run"]
    )
    assert.strictEqual(walked.world.model.failures, 0)
    assert.strictEqual(tag(walk(rules({ circuitFailures: 1 }), failed("refused", { draining: true }))), "CircuitOpen")
  })

  it("a jump of the clock leads to the next attempt at once, but an open circuit and rejected credentials keep their time", () => {
    assert.strictEqual(tag(walk(rules(), failed("refused"), jumped)), "Connecting")
    for (const walked of [
      walk(rules({ circuitFailures: 1 }), failed("refused"), jumped),
      walk(rules(), authRejected, authRejected, jumped)
    ]) {
      assert.include(["CircuitOpen", "NeedsAuth"], tag(walked))
      assert.deepStrictEqual(walked.actions, [])
    }
  })
})

describe("a session that ends", () => {
  it("a stable one is replaced at once", () => {
    const walked = walk(rules(), ...stable, lost())
    assert.deepStrictEqual(state(walked), { _tag: "Connecting", attempt: 1, trial: false, reason: "process_exit" })
    assert.deepStrictEqual(dropped(walked), ["process_exit"])
  })

  it("one lost before it was stable counts as a failed attempt, so that a flapping backend slows down", () => {
    const walked = walk(rules(), succeeded, lost())
    assert.deepStrictEqual(state(walked), { _tag: "Disconnected", attempt: 1, reason: "process_exit" })
    const flapping = walk(rules({ circuitFailures: 2 }), succeeded, lost(), due("attempt"), succeeded, lost())
    assert.deepStrictEqual(state(flapping), { _tag: "CircuitOpen", openings: 1, reason: "process_exit" })
  })

  it("one that a trial opened and that is lost before it was stable opens the circuit again", () => {
    const walked = walk(rules({ circuitFailures: 1 }), failed("refused"), due("attempt"), succeeded, lost())
    assert.deepStrictEqual(state(walked), { _tag: "CircuitOpen", openings: 2, reason: "process_exit" })
  })

  it("is stable when stableAfter has passed and an answer came after it, and only then counters are forgotten", () => {
    const before = [failed("refused"), due("attempt"), succeeded] as const
    assert.strictEqual(walk(rules(), ...before, callAnswered).world.model.failures, 1)
    assert.strictEqual(walk(rules(), ...before, due("stable")).world.model.failures, 1)
    const proven = walk(rules(), ...before, due("stable"), callAnswered)
    assert.strictEqual(proven.world.model.failures, 0)
    assert.deepStrictEqual(
      ofKind(proven, "Reset").map((reset) => reset.schedule),
      ["backoff", "openFor"]
    )
    assert.strictEqual(walk(rules(), ...before, due("stable"), due("probe"), succeeded).world.model.failures, 0)
  })

  it("stays stable when stableAfter is told again", () => {
    const { model } = walk(rules(), ...stable).world
    assert.strictEqual(
      Transition.step(rules(), model, { _tag: "Due", timer: "stable", used: false, calls: "none" }).model,
      model
    )
  })

  it("where nothing is probed, the time alone makes it stable", () => {
    const walked = walk(rules(), failed("refused"), due("attempt"), succeededUnprobed, due("stable"))
    assert.strictEqual(walked.world.model.failures, 0)
  })

  it("goes to sleep when nobody calls, and the next call wakes it", () => {
    const given = rules({ sleepsWhenIdle: true })
    const asleep = walk(given, succeeded, due("idle"))
    assert.deepStrictEqual(state(asleep), { _tag: "Idle" })
    assert.deepStrictEqual(dropped(asleep), ["closed"])
    assert.strictEqual(tag(walk(given, succeeded, due("idle", true))), "Connected")
    assert.strictEqual(tag(walk(given, succeeded, due("idle"), jumped)), "Idle")
    assert.strictEqual(tag(walk(given, succeeded, due("idle"), callStarted)), "Connecting")
  })

  it("with its scope: everything stops and nothing follows", () => {
    const walked = walk(rules(), succeeded, due("probe"), closed)
    assert.deepStrictEqual(state(walked), { _tag: "Closed" })
    assert.strictEqual(ofKind(walked, "Stop").length, 1)
    assert.deepStrictEqual(dropped(walked), ["closed"])
    assert.strictEqual(tag(walk(rules(), closed, operator("reset"), callStarted, jumped)), "Closed")
  })
})

describe("probes", () => {
  const missed = [due("probe"), failed("timeout")] as const

  it("1 to failureThreshold - 1 failed probes in a row make it Unhealthy, the next one drops the session", () => {
    const one = walk(rules(), ...stable, ...missed)
    assert.deepStrictEqual(state(one), {
      _tag: "Unhealthy",
      generation: 1,
      failures: 1,
      reason: "timeout",
      held: false
    })
    assert.deepStrictEqual(armed(one), ["probe: confirm"])
    assert.strictEqual(tag(walk(rules(), ...stable, ...missed, ...missed)), "Unhealthy")
    const three = walk(rules(), ...stable, ...missed, ...missed, ...missed)
    assert.strictEqual(tag(three), "Connecting")
    assert.deepStrictEqual(dropped(three), ["timeout"])
  })

  it("one that is answered makes it Connected, and the count begins anew", () => {
    const walked = walk(rules(), ...stable, ...missed, ...missed, due("probe"), succeeded)
    assert.deepStrictEqual(state(walked), { _tag: "Connected", generation: 1 })
    assert.deepStrictEqual(armed(walked), ["probe: cadence"])
    assert.strictEqual(
      tag(walk(rules(), ...stable, ...missed, ...missed, due("probe"), succeeded, ...missed)),
      "Unhealthy"
    )
  })

  it("an answered call makes the next one needless, and an Unhealthy backend Connected", () => {
    const suppressed = walk(rules(), ...stable, due("probe", true))
    assert.deepStrictEqual(told(suppressed), ["ProbeSuppressed"])
    assert.deepStrictEqual(started(suppressed), [])
    assert.strictEqual(tag(walk(rules(), ...stable, ...missed, callAnswered)), "Connected")
  })

  it("a late probe proves nothing, and neither does one during which the clock jumped", () => {
    const late = walk(rules({ failureThreshold: 1 }), ...stable, due("probe"), failed("timeout", { late: true }))
    assert.strictEqual(tag(late), "Connected")
    assert.deepStrictEqual(started(late), ["probe"])
    const jump = walk(rules({ failureThreshold: 1 }), ...stable, due("probe"), jumped, failed("timeout"))
    assert.strictEqual(tag(jump), "Connected")
    assert.deepStrictEqual(started(jump), ["probe"])
  })

  it("a jump of the clock is followed by one probe", () => {
    assert.deepStrictEqual(started(walk(rules(), ...stable, jumped)), ["probe"])
  })

  it("a busy answer is life: the next one comes not before Retry-After", () => {
    const walked = walk(rules(), ...stable, ...missed, due("probe"), busy(Duration.seconds(40)))
    assert.strictEqual(tag(walked), "Connected")
    assert.deepStrictEqual(ofKind(walked, "Arm")[0]?.notBefore, Duration.seconds(40))
  })

  it("rejected credentials are read again once; rejected again, the session is dropped: needs auth", () => {
    const once = walk(rules(), ...stable, due("probe"), authRejected)
    assert.deepStrictEqual(
      ofKind(once, "Run").map((run) => run.refresh),
      [true]
    )
    const twice = walk(rules(), ...stable, due("probe"), authRejected, authRejected)
    assert.deepStrictEqual(state(twice), { _tag: "NeedsAuth" })
    assert.deepStrictEqual(dropped(twice), ["auth, drained for drainTimeout"])
    assert.strictEqual(twice.world.model.failures, 0)
  })

  it("with none, nothing is counted, and a call's transport failure drops the session", () => {
    const asked = walk(rules(), succeededUnprobed, doubt("session"))
    assert.deepStrictEqual(
      ofKind(asked, "Run").map((run) => run.counted),
      [false]
    )
    assert.deepStrictEqual(dropped(walk(rules(), succeededUnprobed, doubt("transport"))), [
      "reset, drained for drainTimeout"
    ])
  })

  it("with none, a standing stream that does not come back drops nothing: one probe decides, uncounted", () => {
    const asked = walk(rules(), succeededUnprobed, doubt("stream"))
    assert.deepStrictEqual(dropped(asked), [])
    assert.deepStrictEqual(
      ofKind(asked, "Run").map(({ counted, kind }) => [kind, counted]),
      [["probe", false]]
    )
  })

  it("with none, an Unhealthy session is asked until it is decided", () => {
    const unhealthy = walk(rules(), succeededUnprobed, operator("probe"), failed("timeout"))
    assert.strictEqual(tag(unhealthy), "Unhealthy")
    const again = walk(rules(), succeededUnprobed, operator("probe"), failed("timeout"), due("probe", true))
    assert.deepStrictEqual(started(again), ["probe"])
  })
})

describe("a session that is asked only in use", () => {
  const attention = ({ world }: Walk) => world.model.attention
  const inUse = [succeededInUse, callStarted] as const

  it("has no probe armed at rest, whatever passes: it is opened, is stable, is asked by an operator, is replaced", () => {
    const asked = [operator("probe"), succeeded] as const
    for (const moves of [
      [],
      [due("stable")],
      asked,
      [doubt("stream"), succeeded],
      [operator("reconnect"), succeededInUse]
    ]) {
      const walked = walk(rules(), succeededInUse, ...moves)
      assert.strictEqual(attention(walked), "atRest")
      assert.isFalse(walked.world.armed.has("probe"))
    }
  })

  it("is asked at the interval from its first call on, and from the last answer where there are many", () => {
    const roused = walk(rules(), ...inUse)
    assert.deepStrictEqual(armed(roused), ["probe: cadence"])
    assert.deepStrictEqual(walk(rules(), ...inUse, callStarted).actions, [])
    assert.deepStrictEqual(started(walk(rules(), ...inUse, due("probe", false, "waiting"))), ["probe"])
    const answered = walk(rules(), ...inUse, due("probe", true, "waiting"))
    assert.deepStrictEqual(started(answered), [])
    assert.deepStrictEqual(
      ofKind(answered, "Arm").map(({ from, timer }) => [timer, from]),
      [["probe", "answer"]]
    )
  })

  it("is not asked for a call that waits for nothing of the server, but looked at again", () => {
    const walked = walk(rules(), ...inUse, due("probe", false, "idle"))
    assert.deepStrictEqual(started(walked), [])
    assert.deepStrictEqual(told(walked), [])
    assert.deepStrictEqual(armed(walked), ["probe: cadence"])
  })

  it("comes to rest when its probe is due and no call runs, without an event, and the next call rouses it", () => {
    for (const used of [false, true]) {
      const walked = walk(rules(), ...inUse, due("probe", used))
      assert.deepStrictEqual(walked.actions, [])
      assert.strictEqual(attention(walked), "atRest")
      assert.deepStrictEqual(armed(walk(rules(), ...inUse, due("probe", used), callStarted)), ["probe: cadence"])
    }
  })

  it("dies under a call, and of a doubt, as a session that is always probed: by probes that are counted, and not of one call that failed", () => {
    const missed = [due("probe", false, "waiting"), failed("timeout")] as const
    assert.strictEqual(tag(walk(rules(), ...inUse, due("stable"), ...missed, ...missed)), "Unhealthy")
    const dead = walk(rules(), ...inUse, due("stable"), ...missed, ...missed, ...missed)
    assert.deepStrictEqual(dropped(dead), ["timeout"])
    const doubted = walk(rules(), succeededInUse, doubt("transport"))
    assert.deepStrictEqual(
      ofKind(doubted, "Run").map(({ counted, kind }) => [kind, counted]),
      [["probe", true]]
    )
  })

  it("is asked until it is decided once something speaks against it, whether a call runs or not", () => {
    const unhealthy = walk(rules(), succeededInUse, doubt("transport"), failed("timeout"))
    assert.deepStrictEqual(armed(unhealthy), ["probe: confirm"])
    const again = [doubt("transport"), failed("timeout"), due("probe")] as const
    assert.deepStrictEqual(started(walk(rules(), succeededInUse, ...again)), ["probe"])
    const well = walk(rules(), succeededInUse, ...again, succeeded)
    assert.strictEqual(tag(well), "Connected")
    assert.deepStrictEqual(armed(well), [])
    const roused = walk(rules(), succeededInUse, doubt("transport"), failed("timeout"), callStarted)
    assert.deepStrictEqual(armed(roused), [])
  })

  it("is stable by the time alone, since nothing is answered at rest", () => {
    const walked = walk(rules(), failed("refused"), due("attempt"), succeededInUse, due("stable"))
    assert.strictEqual(walked.world.model.failures, 0)
  })

  it("by another policy is asked from then on, left alone, or comes to rest when no call runs", () => {
    assert.deepStrictEqual(armed(walk(rules(), succeededInUse, reconfigured("policy"))), ["probe: cadence"])
    assert.deepStrictEqual(armed(walk(rules(), ...inUse, reconfigured("policy", "never"))), [])
    const resting = walk(rules(), ...stable, reconfigured("policy", "inUse"), due("probe"))
    assert.deepStrictEqual(resting.actions, [])
    assert.strictEqual(attention(resting), "atRest")
  })
})

describe("a long call in flight", () => {
  const held = failed("timeout", { callInFlight: true, silentFor: Duration.minutes(4) })
  const rounds = (count: number) => Array.from({ length: count }, () => [due("probe"), held]).flat()

  it("holds the backend at Unhealthy while probes time out, until inFlightGrace passes without a byte", () => {
    const walked = walk(rules(), ...stable, ...rounds(20))
    assert.deepStrictEqual(state(walked), {
      _tag: "Unhealthy",
      generation: 1,
      failures: 2,
      reason: "timeout",
      held: true
    })
    const graceless = failed("timeout", { callInFlight: true, silentFor: Duration.minutes(5) })
    assert.deepStrictEqual(dropped(walk(rules(), ...stable, ...rounds(20), due("probe"), graceless)), ["timeout"])
  })

  it("holds it no longer than four times inFlightGrace from the first miss, whatever comes of the call", () => {
    const at = (missedFor: Duration.Duration) =>
      walk(rules(), ...stable, ...rounds(20), due("probe"), failed("timeout", { callInFlight: true, missedFor }))
    assert.strictEqual(tag(at(Duration.minutes(19))), "Unhealthy")
    assert.deepStrictEqual(dropped(at(Duration.minutes(20))), ["timeout"])
  })

  it("holds the session only where it would be given up otherwise, also where one miss is enough", () => {
    const heldOf = (walked: Walk) => {
      const at = state(walked)
      return at._tag === "Unhealthy" ? at.held : at._tag
    }
    assert.strictEqual(heldOf(walk(rules(), ...stable, ...rounds(1))), false)
    assert.strictEqual(heldOf(walk(rules(), ...stable, ...rounds(2))), false)
    assert.strictEqual(heldOf(walk(rules(), ...stable, ...rounds(3))), true)
    assert.strictEqual(heldOf(walk(rules({ failureThreshold: 1 }), ...stable, ...rounds(1))), true)
    assert.strictEqual(heldOf(walk(rules(), ...stable, doubt("stale"), held)), true)
  })

  it("a held session admits no call, and who waits looks again when it is Connected, replaced or gone", () => {
    const before = [...stable, ...rounds(3)]
    assert.strictEqual(ConnectionState.admission(state(walk(rules(), ...before))), "wait")
    for (const moves of [
      [due("probe"), succeeded],
      [due("probe"), busy()],
      [callAnswered],
      [operator("reset")],
      [operator("reconnect"), succeeded],
      [due("probe"), failed("timeout")],
      [due("probe"), failed("reset")],
      [lost()],
      [operator("isolate")]
    ]) {
      const walked = walk(rules(), ...before, ...moves)
      assert.include(
        ofKind(walked, "Settle").map(({ who }) => who),
        "waiters"
      )
    }
  })

  it("excuses nothing but timeouts", () => {
    const rounds = Array.from({ length: 3 }, () => [due("probe"), failed("refused", { callInFlight: true })]).flat()
    assert.deepStrictEqual(dropped(walk(rules(), ...stable, ...rounds)), ["refused"])
  })

  it("is not killed because another call finds the session silent", () => {
    const walked = walk(rules(), ...stable, doubt("stale"), held)
    assert.strictEqual(tag(walked), "Unhealthy")
    assert.strictEqual(tag(walk(rules(), ...stable, doubt("stale"), held, due("probe"), failed("reset"))), "Connecting")
    assert.strictEqual(
      tag(walk(rules(), ...stable, doubt("stale"), held, due("probe"), failed("timeout"))),
      "Connecting"
    )
  })
})

describe("doubts", () => {
  it("an ordinary probe failure within a stale doubt drops the session", () => {
    const walked = walk(rules(), ...stable, doubt("stale"), failed("timeout"))
    assert.strictEqual(tag(walked), "Connecting")
    assert.deepStrictEqual(dropped(walked), ["timeout"])
  })

  it("a 404 to a probe is asked once more on the same session before it is Lost", () => {
    const asked = walk(rules(), ...stable, due("probe"), failed("session_lost"))
    assert.strictEqual(tag(asked), "Connected")
    assert.deepStrictEqual(started(asked), ["probe"])
    const gone = walk(rules(), ...stable, due("probe"), failed("session_lost"), failed("session_lost"))
    assert.deepStrictEqual(dropped(gone), ["session_lost, drained for timeout"])
    assert.strictEqual(tag(walk(rules(), ...stable, due("probe"), failed("session_lost"), succeeded)), "Connected")
  })

  it("a session that a call doubted is lost with the first probe that is refused too", () => {
    const walked = walk(rules(), ...stable, doubt("session"), failed("session_lost"))
    assert.deepStrictEqual(dropped(walked), ["session_lost, drained for timeout"])
  })

  it("outlives the replacement that was begun meanwhile, and is decided when that has failed", () => {
    const replacing = walk(rules(), ...stable, doubt("session"), operator("reconnect"))
    assert.deepStrictEqual(started(replacing), ["attempt"])
    const kept = walk(rules(), ...stable, doubt("session"), operator("reconnect"), failed("refused"))
    assert.strictEqual(kept.world.model.running?.decides, "session")
    const rejected = walk(rules(), ...stable, doubt("session"), operator("reconnect"), authRejected, failed("refused"))
    assert.strictEqual(rejected.world.model.running?.decides, "session")
  })

  it("is not decided by a server that asks for time, if it is about the session: that is asked again in time", () => {
    const walked = walk(rules(), ...stable, doubt("session"), busy(Duration.seconds(7)))
    assert.deepStrictEqual(armed(walked), ["probe: confirm"])
    assert.deepStrictEqual(
      ofKind(walked, "Arm").map(({ notBefore }) => notBefore),
      [Duration.seconds(7)]
    )
    assert.deepStrictEqual(ofKind(walked, "Settle"), [])
    const again = walk(rules(), ...stable, doubt("session"), busy(Duration.seconds(7)), due("probe", true))
    assert.strictEqual(again.world.model.running?.decides, "session")
  })

  it("about the server behind a gateway is not decided by a gateway that asks for time", () => {
    const walked = walk(rules(), ...stable, doubt("upstream"), busy(Duration.seconds(7)), due("deep"))
    assert.deepStrictEqual(started(walked), ["deepProbe"])
  })

  it("an exclusive session that is lost does not drain: its successor waits until it is gone", () => {
    const walked = walk(rules({ exclusive: true }), ...stable, doubt("session"), failed("session_lost"))
    assert.deepStrictEqual(dropped(walked), ["session_lost"])
  })

  it("one raised while a probe runs is decided by the next probe, not by that one", () => {
    const walked = walk(rules(), ...stable, due("probe"), doubt("session"), succeeded)
    assert.deepStrictEqual(started(walked), ["probe"])
    assert.strictEqual(walked.world.model.running?.decides, "session")
    assert.notInclude(
      ofKind(walked, "Settle").map((action) => action.who),
      "doubters"
    )
  })

  it("one that a failed probe left open is decided at once when a call is answered", () => {
    const walked = walk(rules(), ...stable, doubt("transport"), failed("timeout"), callAnswered)
    assert.deepStrictEqual(started(walked), ["probe"])
  })

  it("who waits for a decision learns that the session was closed for a replacement", () => {
    const exclusive = walk(rules({ exclusive: true }), ...stable, doubt("session"), operator("reconnect"))
    const refused = walk(rules(), ...stable, operator("reconnect"), doubt("session"), failed("http_4xx"))
    for (const walked of [exclusive, refused]) {
      assert.deepStrictEqual(
        ofKind(walked, "Settle").map((action) => action.who),
        ["doubters"]
      )
    }
  })
})

describe("a gateway that answers for a dead server", () => {
  it("is asked with the deep probe, once per confirmInterval", () => {
    const asked = walk(rules(), ...stable, doubt("upstream"))
    assert.deepStrictEqual(started(asked), ["deepProbe"])
    assert.deepStrictEqual(armed(asked), ["deep: confirmInterval"])
    assert.deepStrictEqual(started(walk(rules(), ...stable, doubt("upstream"), succeeded, doubt("upstream"))), [])
    const rested = walk(rules(), ...stable, doubt("upstream"), succeeded, doubt("upstream"), due("deep"))
    assert.deepStrictEqual(started(rested), ["deepProbe"])
  })

  it("a deep probe that failed is latched across generations, and an attempt must pass it", () => {
    const failing = Array.from({ length: 2 }, () => [failed("upstream"), due("probe")]).flat()
    const zombie = walk(rules(), ...stable, doubt("upstream"), ...failing, failed("upstream"))
    assert.strictEqual(tag(zombie), "Connecting")
    assert.deepStrictEqual(
      ofKind(zombie, "Run").map((run) => run.deep),
      [true]
    )
    const rounds = Array.from({ length: 4 }, () => [failed("upstream"), due("attempt")]).flat()
    const open = walk(
      rules(),
      ...stable,
      doubt("upstream"),
      ...failing,
      failed("upstream"),
      ...rounds,
      failed("upstream")
    )
    assert.deepStrictEqual(state(open), { _tag: "CircuitOpen", openings: 1, reason: "upstream" })
  })

  it("while it is latched, an answered call proves nothing, and only the deep probe is asked", () => {
    const latched = [...stable, doubt("upstream"), failed("upstream")]
    assert.strictEqual(tag(walk(rules(), ...latched, callAnswered)), "Unhealthy")
    assert.deepStrictEqual(started(walk(rules(), ...latched, due("probe", true))), ["deepProbe"])
    assert.strictEqual(tag(walk(rules(), ...latched, due("probe"), succeeded)), "Connected")
  })

  it("traffic does not make the deep probe needless that is wanted", () => {
    const walked = walk(rules(), ...stable, due("probe"), doubt("upstream"), failed("timeout"), due("probe", true))
    assert.deepStrictEqual(started(walked), ["deepProbe"])
  })
})

describe("a session that has lived for maxLifetime", () => {
  const given = rules({ expires: true })
  const outdated = ({ world }: Walk) => world.model.outdated

  it("has its end drawn when it opens, and so has every session after it", () => {
    assert.include(armed(walk(given, succeeded)), "lifetime: maxLifetime")
    assert.include(armed(walk(given, succeeded, due("lifetime"), succeeded)), "lifetime: maxLifetime")
    assert.notInclude(armed(walk(rules(), succeeded)), "lifetime: maxLifetime")
  })

  it("is replaced as by reconnect: the new session first, then the old one drains", () => {
    const running = walk(given, ...stable, due("lifetime"))
    assert.deepStrictEqual(state(running), { _tag: "Connected", generation: 1 })
    assert.deepStrictEqual(started(running), ["attempt"])
    const replaced = walk(given, ...stable, due("lifetime"), succeeded)
    assert.deepStrictEqual(state(replaced), { _tag: "Connected", generation: 2 })
    assert.deepStrictEqual(dropped(replaced), ["closed, drained for drainTimeout"])
    assert.isFalse(outdated(replaced))
  })

  it("is closed first where two at once are impossible", () => {
    const walked = walk(rules({ expires: true, exclusive: true }), ...stable, due("lifetime"))
    assert.strictEqual(tag(walked), "Connecting")
    assert.deepStrictEqual(
      walked.actions.map((action) => action._tag).filter((each) => each === "Drop" || each === "Run"),
      ["Drop", "Run"]
    )
    assert.isFalse(outdated(walked))
  })

  for (const [name, ends] of [
    ["failed", failed("timeout")],
    ["met busy", busy(Duration.seconds(7))]
  ] as const) {
    it(`serves on when its replacement ${name}, which is tried again by backoff until it succeeds`, () => {
      const kept = walk(given, ...stable, due("lifetime"), ends)
      assert.deepStrictEqual(state(kept), { _tag: "Connected", generation: 1 })
      assert.include(armed(kept), "attempt: backoff")
      assert.isTrue(outdated(kept))
      assert.strictEqual(kept.world.model.failures, 0)
      const rounds = Array.from({ length: 20 }, () => [due("attempt"), ends]).flat()
      const again = walk(given, ...stable, due("lifetime"), ends, ...rounds, due("attempt"))
      assert.deepStrictEqual(state(again), { _tag: "Connected", generation: 1 })
      assert.deepStrictEqual(started(again), ["attempt"])
      const replaced = walk(given, ...stable, due("lifetime"), ends, ...rounds, due("attempt"), succeeded)
      assert.deepStrictEqual(state(replaced), { _tag: "Connected", generation: 2 })
    })
  }

  it("keeps the server's word before its replacement is tried again", () => {
    const kept = walk(given, ...stable, due("lifetime"), busy(Duration.seconds(7)))
    const next = ofKind(kept, "Arm").find(({ timer }) => timer === "attempt")
    assert.deepStrictEqual(next?.notBefore, Duration.seconds(7))
  })

  it("is replaced by the replacement that runs already, which is tried again if it fails", () => {
    const joined = walk(given, ...stable, operator("reconnect"), due("lifetime"))
    assert.deepStrictEqual(started(joined), [])
    const failedOnce = walk(given, ...stable, operator("reconnect"), due("lifetime"), failed("timeout"))
    assert.include(armed(failedOnce), "attempt: backoff")
  })

  it("is lost meanwhile like every session: the attempt that is armed is not made beside the next", () => {
    const kept = [...stable, due("lifetime"), failed("timeout")]
    const dead = walk(given, ...kept, lost())
    assert.strictEqual(tag(dead), "Connecting")
    assert.isFalse(outdated(dead))
    assert.deepStrictEqual(
      ofKind(dead, "Disarm").map(({ timer }) => timer),
      ["attempt"]
    )
    for (const end of [operator("isolate"), closed]) assert.isFalse(outdated(walk(given, ...kept, end)))
  })

  it("goes to sleep when nobody calls, replaced or not", () => {
    const asleep = walk(
      rules({ expires: true, sleepsWhenIdle: true }),
      ...stable,
      due("lifetime"),
      failed("timeout"),
      succeeded,
      due("idle")
    )
    assert.strictEqual(tag(asleep), "Idle")
    assert.isFalse(outdated(asleep))
  })
})

describe("an operator", () => {
  it("reconnect: the new session first, then the old one drains", () => {
    const running = walk(rules(), ...stable, operator("reconnect"))
    assert.deepStrictEqual(state(running), { _tag: "Connected", generation: 1 })
    const replaced = walk(rules(), ...stable, operator("reconnect"), succeeded)
    assert.deepStrictEqual(state(replaced), { _tag: "Connected", generation: 2 })
    assert.deepStrictEqual(dropped(replaced), ["closed, drained for drainTimeout"])
  })

  it("reconnect of an exclusive connector closes the old session first", () => {
    const walked = walk(rules({ exclusive: true }), ...stable, operator("reconnect"))
    assert.strictEqual(tag(walked), "Connecting")
    assert.deepStrictEqual(
      walked.actions.map((action) => action._tag).filter((each) => each === "Drop" || each === "Run"),
      ["Drop", "Run"]
    )
  })

  it("a refused replacement closes the old session first and is tried again", () => {
    const walked = walk(rules(), ...stable, operator("reconnect"), failed("http_4xx"))
    assert.strictEqual(tag(walked), "Connecting")
    assert.deepStrictEqual(dropped(walked), ["closed"])
    assert.deepStrictEqual(started(walked), ["attempt"])
  })

  it("a replacement that fails otherwise leaves the old session, which is probed", () => {
    const walked = walk(rules(), ...stable, operator("reconnect"), failed("timeout"))
    assert.deepStrictEqual(state(walked), { _tag: "Connected", generation: 1 })
    assert.deepStrictEqual(started(walked), ["probe"])
  })

  it("reconnect in an open circuit is the trial now, counters kept", () => {
    const walked = walk(rules({ circuitFailures: 1 }), failed("refused"), operator("reconnect"))
    assert.deepStrictEqual(state(walked), { _tag: "Connecting", attempt: 2, trial: true, reason: "refused" })
  })

  it("reset clears counters and attempts now", () => {
    const walked = walk(rules({ circuitFailures: 1 }), failed("refused"), operator("reset"))
    assert.deepStrictEqual(state(walked), { _tag: "Connecting", attempt: 1, trial: false, reason: undefined })
    assert.deepStrictEqual(
      ofKind(walked, "Reset").map((reset) => reset.schedule),
      ["backoff", "openFor"]
    )
  })

  it("isolate closes now, whatever runs, and only reset leads back", () => {
    for (const moves of [[], stable, [...stable, operator("reconnect")], [failed("refused")]]) {
      const isolated = walk(rules(), ...moves, operator("isolate"))
      assert.strictEqual(tag(isolated), "Isolated")
      const left = walk(
        rules(),
        ...moves,
        operator("isolate"),
        operator("reconnect"),
        operator("probe"),
        callStarted,
        jumped
      )
      assert.strictEqual(tag(left), "Isolated")
      assert.strictEqual(tag(walk(rules(), ...moves, operator("isolate"), operator("reset"))), "Connecting")
    }
  })

  it("probe asks now, or joins the probe that runs", () => {
    assert.deepStrictEqual(started(walk(rules(), ...stable, operator("probe"))), ["probe"])
    assert.deepStrictEqual(started(walk(rules(), ...stable, operator("probe"), operator("probe"))), [])
  })
})

describe("reconfigured", () => {
  const given = rules({ circuitFailures: 2 })

  it("another policy leaves session, run and counters as they are, and what is due is due anew", () => {
    const walked = walk(given, ...stable, reconfigured("policy"))
    assert.deepStrictEqual(state(walked), { _tag: "Connected", generation: 1 })
    assert.deepStrictEqual(started(walked), [])
    assert.deepStrictEqual(armed(walked), ["probe: cadence"])
    const probing = walk(given, ...stable, due("probe"), reconfigured("policy"))
    assert.strictEqual(probing.world.model.running?.kind, "probe")
    assert.deepStrictEqual(armed(probing), [])
  })

  it("another policy leaves an attempt due no later than it was", () => {
    for (const [moves, name] of [
      [[failed("refused")], "backoff"],
      [[failed("refused"), due("attempt"), failed("refused")], "openFor"]
    ] as const) {
      const walked = walk(given, ...moves, reconfigured("policy"))
      const [arm] = ofKind(walked, "Arm")
      assert.deepStrictEqual([arm?.schedule, arm?.sooner], [name, true])
    }
    assert.deepStrictEqual(armed(walk(given, busy(Duration.seconds(7)), reconfigured("policy"))), [])
  })

  it("another connection is opened beside the session, which serves until it is, however often that fails", () => {
    const begun = walk(given, ...stable, reconfigured("connection"))
    assert.deepStrictEqual(state(begun), { _tag: "Connected", generation: 1 })
    assert.deepStrictEqual(started(begun), ["attempt"])
    const refused = walk(given, ...stable, reconfigured("connection"), failed("refused"))
    assert.deepStrictEqual(state(refused), { _tag: "Connected", generation: 1 })
    assert.include(armed(refused), "attempt: backoff")
    const again = walk(given, ...stable, reconfigured("connection"), failed("refused"), succeeded, due("attempt"))
    assert.deepStrictEqual(started(again), ["attempt"])
    const done = walk(given, ...stable, reconfigured("connection"), failed("refused"), due("attempt"), succeeded)
    assert.deepStrictEqual(state(done), { _tag: "Connected", generation: 2 })
    assert.isFalse(done.world.model.outdated)
    assert.deepStrictEqual(dropped(done), ["closed, drained for drainTimeout"])
  })

  it("another connection knows nothing of the failures of the one before", () => {
    const walked = walk(given, failed("dns"), due("attempt"), failed("dns"), reconfigured("connection"))
    assert.deepStrictEqual(state(walked), { _tag: "Connecting", attempt: 1, trial: false, reason: undefined })
    const hanging = walk(given, reconfigured("connection"))
    assert.deepStrictEqual(started(hanging), ["attempt"])
  })
})

it("a stable session that is lost is attempted anew at once or with backoff, as the rules say, and is no failure", () => {
  const atOnce = walk(rules(), ...stable, lost("reset"))
  assert.deepStrictEqual(started(atOnce), ["attempt"])
  const later = walk(rules({ reattempt: "backoff", circuitFailures: 1 }), ...stable, lost("reset"))
  assert.deepStrictEqual(state(later), { _tag: "Disconnected", attempt: 0, reason: "reset" })
  assert.deepStrictEqual(armed(later), ["attempt: backoff"])
  assert.deepStrictEqual(started(later), [])
})
