import { ConnectionState, FailureReason } from "@vmcp-keepalive/core"
import type { KeepaliveEvent } from "@vmcp-keepalive/core"
import { Duration } from "effect"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import * as Record from "../../src/internal/page/record.ts"
import * as Row from "../../src/internal/page/row.ts"
import * as Strip from "../../src/internal/page/strip.ts"
import { Row as RowSchema } from "../../src/internal/page/wire.ts"
import * as Words from "../../src/internal/page/words.ts"
import * as Schema from "effect/Schema"

const start = 1_700_000_000_000

const make = (state: ConnectionState.ConnectionState = { _tag: "Connected", since: start, generation: 1 }) =>
  Record.make({ id: "web", kind: "http", required: false, state, tools: 3, now: start })

const changed = (to: ConnectionState.ConnectionState, at: number): KeepaliveEvent.KeepaliveEvent => ({
  _tag: "StateChanged",
  backend: "web",
  at,
  from: { _tag: "Idle", since: start },
  to
})

const rowIn = (state: ConnectionState.ConnectionState, detail?: string) => {
  const record = make(state)
  record.detail = detail
  return Row.of(record, start + 1000)
}

const next = start + 5000

describe("a row says why a backend is as it is, and the one thing to do", () => {
  for (const [name, state, detail, why, todo, command] of [
    ["Connected", { _tag: "Connected", since: start, generation: 1 }, undefined, "", undefined, undefined],
    [
      "NeedsAuth",
      { _tag: "NeedsAuth", since: start, nextAttemptAt: next },
      "HTTP 401",
      "It rejected the credentials (HTTP 401)",
      "Renew its credentials, then reset",
      "reset"
    ],
    [
      "Isolated",
      { _tag: "Isolated", since: start },
      undefined,
      "An operator isolated it",
      "Reset when it may serve again",
      "reset"
    ],
    [
      "CircuitOpen, refused",
      { _tag: "CircuitOpen", since: start, nextAttemptAt: next, openings: 2, reason: "refused" },
      "ECONNREFUSED on connect",
      "Nobody listens at its address (ECONNREFUSED on connect)",
      "Start the server, or correct its address, or reconnect now",
      "reconnect"
    ],
    [
      "CircuitOpen, reset",
      { _tag: "CircuitOpen", since: start, nextAttemptAt: next, openings: 1, reason: "reset" },
      undefined,
      "The connection was closed before it answered",
      "Nothing to do: it is tried again by itself, or reconnect now",
      "reconnect"
    ],
    [
      "Disconnected after a process that ended",
      { _tag: "Disconnected", since: start, nextAttemptAt: next, attempt: 2, reason: "process_exit" },
      "exit code 3",
      "Its process ended (exit code 3)",
      "See stderr in the details",
      "reconnect"
    ],
    [
      "Disconnected for a moment",
      { _tag: "Disconnected", since: start, nextAttemptAt: next, attempt: 1, reason: "refused" },
      undefined,
      "Nobody listens at its address",
      "Nothing to do: it is tried again by itself",
      null
    ],
    [
      "Unhealthy",
      { _tag: "Unhealthy", since: start, generation: 1, failures: 2, reason: "timeout", held: false },
      undefined,
      "2 probes in a row failed. It did not answer in time",
      "Nothing to do: the next probe decides",
      null
    ]
  ] as const)
    it(`${name}`, () => {
      const row = rowIn(state, detail)
      assert.strictEqual(row.why, why)
      assert.strictEqual(row.action?.text, todo)
      assert.strictEqual(row.action?.command, command)
    })

  it("suggests no command that is not possible, in any state and for any reason", () => {
    const states: ReadonlyArray<ConnectionState.ConnectionState> = FailureReason.all.flatMap(
      (reason): ReadonlyArray<ConnectionState.ConnectionState> => [
        { _tag: "Connecting", since: start, attempt: 3, trial: true, reason },
        { _tag: "Unhealthy", since: start, generation: 1, failures: 1, reason, held: true },
        { _tag: "Disconnected", since: start, nextAttemptAt: undefined, attempt: 4, reason },
        { _tag: "CircuitOpen", since: start, nextAttemptAt: undefined, openings: 1, reason }
      ]
    )
    for (const state of states) {
      const row = rowIn(state)
      assert.isNotEmpty(row.why)
      assert.isNotNull(row.action)
      if (row.action?.command !== null) assert.include(row.commands, row.action?.command)
      assert.isTrue(Schema.is(RowSchema)(row))
    }
  })

  it("counts who should look at it: an attempt after a loss does, the first one and an isolated backend do not", () => {
    assert.isTrue(rowIn({ _tag: "Connecting", since: start, attempt: 1, trial: false, reason: "reset" }).attention)
    assert.isFalse(rowIn({ _tag: "Connecting", since: start, attempt: 1, trial: false, reason: undefined }).attention)
    assert.isFalse(rowIn({ _tag: "Isolated", since: start }).attention)
  })

  it("forgets what was seen of an outage that is over", () => {
    const record = make({ _tag: "Disconnected", since: start, nextAttemptAt: next, attempt: 1, reason: "refused" })
    Record.take(record, {
      _tag: "AttemptFailed",
      backend: "web",
      at: start,
      reason: "refused",
      detail: "ECONNREFUSED on connect",
      duration: Duration.zero
    })
    Record.take(record, changed({ _tag: "Connected", since: start + 1, generation: 2 }, start + 1))
    Record.take(
      record,
      changed({ _tag: "Disconnected", since: start + 2, nextAttemptAt: next, attempt: 1, reason: "timeout" }, start + 2)
    )
    assert.strictEqual(Row.of(record, start + 3).why, "It did not answer in time")
  })
})

describe("figures of a row", () => {
  it("have the calls of the last five minutes, and those under way", () => {
    const record = make()
    const call = (at: number, outcome: KeepaliveEvent.CallOutcome) => {
      Record.take(record, { _tag: "CallStarted", backend: "web", at })
      Record.take(record, {
        _tag: "CallSettled",
        backend: "web",
        at,
        outcome,
        reason: undefined,
        replayed: false,
        method: undefined,
        duration: Duration.zero
      })
    }
    call(start, "ok")
    call(start + 200_000, "outcome_unknown")
    call(start + 400_000, "ok")
    Record.take(record, { _tag: "CallStarted", backend: "web", at: start + 400_000 })
    const row = Row.of(record, start + 400_000)
    assert.deepStrictEqual([row.calls, row.failed, row.inFlight], [2, 1, 1])
  })

  it("have the median of the last probes, so that one slow answer is no slow server", () => {
    const record = make()
    for (const latency of [4, 5, 900, 6, 5])
      Record.take(record, {
        _tag: "ProbeSucceeded",
        backend: "web",
        at: start,
        method: "ping",
        latency: Duration.millis(latency)
      })
    assert.strictEqual(Row.of(record, start).latency, 5)
  })
})

describe("what is kept of a backend", () => {
  it("is bounded, however much happens", () => {
    const record = make()
    for (let index = 0; index < 5000; index++) {
      const at = start + index * 700
      Record.take(record, changed({ _tag: index % 2 === 0 ? "Isolated" : "Idle", since: at }, at))
      Record.remember(record, { seq: index, at, backend: "web", text: "x", tone: "off", important: false })
      Record.mark(record, { at, label: "x" })
      Record.take(record, { _tag: "ProbeSucceeded", backend: "web", at, method: "ping", latency: Duration.millis(1) })
      Record.take(record, {
        _tag: "CallSettled",
        backend: "web",
        at,
        outcome: "ok",
        reason: undefined,
        replayed: false,
        method: undefined,
        duration: Duration.zero
      })
    }
    assert.isAtMost(record.strip.length, Strip.limit)
    assert.strictEqual(record.history.length, Record.historyLimit)
    assert.strictEqual(record.history[0]?.seq, 5000 - Record.historyLimit)
    assert.strictEqual(record.marks.length, Record.marksLimit)
    assert.isAtMost(record.calls.length, 30)
    assert.isAtMost(record.latencies.length, 9)
  })

  it("has of any sequence of states a strip of few segments that ends in the last state, and hides no outage", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.constantFrom("Connected", "Disconnected", "Connecting", "CircuitOpen"),
            fc.integer({ min: 0, max: 9000 })
          ),
          { minLength: 1, maxLength: 400 }
        ),
        (steps) => {
          let at = start
          let strip: ReturnType<typeof Strip.add> = []
          let lastState: ConnectionState.Tag = "Connected"
          let lastOutage: number | undefined
          for (const [state, after] of steps) {
            at += after
            strip = Strip.add(strip, state, at)
            lastState = state
            if (state === "Disconnected" || state === "CircuitOpen") lastOutage = at
          }
          assert.isAtMost(strip.length, Strip.limit)
          for (const [index, segment] of strip.entries()) {
            const following = strip[index + 1]
            if (following === undefined) continue
            assert.isAtLeast(following.at - segment.at, Strip.resolution)
            assert.notStrictEqual(following.state, segment.state)
          }
          // a state that was hidden by a worse one is drawn as soon as that has been seen
          const settled = Strip.add(strip, lastState, at + Strip.resolution)
          assert.strictEqual(settled.at(-1)?.state, lastState)
          if (lastOutage !== undefined && lastOutage > at - Strip.span + 2 * Strip.resolution)
            assert.isTrue(strip.some(({ state }) => state === "Disconnected" || state === "CircuitOpen"))
        }
      )
    )
  })
})

describe("a line of the log", () => {
  it("has no name that a server chose", () => {
    const told = Words.tell({
      _tag: "ListChanged",
      backend: "web",
      at: start,
      kind: "tools",
      added: ["<img src=x onerror=alert(1)>"],
      removed: [],
      changed: ["b"]
    })
    assert.strictEqual(told?.text, "Its tools: 1 came, 1 changed")
  })

  it("is not written for what is steady", () => {
    assert.isUndefined(Words.tell({ _tag: "ProbeSent", backend: "web", at: start, method: "ping" }))
    assert.isUndefined(Words.tell({ _tag: "CallStarted", backend: "web", at: start }))
  })
})
