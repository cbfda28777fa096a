/** What is counted, for whom, and for how long. */
import { assert, describe, it } from "@effect/vitest"
import { FailureReason, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Effect, Exit, Layer, Logger, Metric, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import { KeepaliveMetrics } from "../src/index.ts"
import * as On from "./support.ts"

const counting = (options: KeepaliveMetrics.Options = {}) => Effect.provide(KeepaliveMetrics.layer(options))

describe("an event is counted by exactly one series, the other series stay as they were:", () => {
  const reasons = FailureReason.all
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<KeepaliveEvent.Happening>, On.Figures]> = [
    ["a probe that was sent", [On.sent], { 'vmcp_keepalive_attempt_total{backend_id="a"}': 1 }],
    [
      "a probe that was answered",
      [On.answered("5 millis")],
      { 'vmcp_keepalive_latency_seconds{backend_id="a"}': 1, 'vmcp_keepalive_success_total{backend_id="a"}': 1 }
    ],
    ...reasons.map(
      (reason) =>
        [
          `a probe that failed: ${reason}`,
          [On.missed(reason)],
          { [`vmcp_keepalive_failure_total{backend_id="a",reason="${reason}"}`]: 1 }
        ] as const
    ),
    ...reasons.map(
      (reason) =>
        [
          `a circuit that opened: ${reason}`,
          [On.opened(reason)],
          { [`vmcp_keepalive_auto_disabled_total{backend_id="a",reason="${reason}"}`]: 1 }
        ] as const
    ),
    ["a probe that was needless", [On.suppressed], { 'vmcp_keepalive_suppressed_total{backend_id="a"}': 1 }],
    ...On.outcomes.map(
      (outcome) =>
        [
          `a call that ended: ${outcome}`,
          [On.callBegan, On.callBegan, On.called(outcome)],
          {
            [`vmcp_keepalive_call_total{backend_id="a",outcome="${outcome}"}`]: 1,
            [`vmcp_keepalive_call_duration_seconds{backend_id="a",outcome="${outcome}"}`]: 1,
            'vmcp_keepalive_calls_in_flight{backend_id="a"}': 1,
            ...(outcome === "rejected"
              ? { 'vmcp_keepalive_rejected_total{backend_id="a",reason="overloaded"}': 1 }
              : {})
          }
        ] as const
    ),
    ["a backend that is required", [On.reconfigured(true)], { 'vmcp_keepalive_required{backend_id="a"}': 1 }],
    [
      "a backend that is required no longer",
      [On.reconfigured(true), On.reconfigured(false)],
      { 'vmcp_keepalive_required{backend_id="a"}': 0 }
    ],
    [
      "calls that wait for their turn",
      [On.callQueued, On.callQueued, On.callQueued, On.callDequeued],
      { 'vmcp_keepalive_calls_queued{backend_id="a"}': 2 }
    ],
    ["a call that was not run again", [On.replayDenied], { 'vmcp_keepalive_replay_denied_total{backend_id="a"}': 1 }],
    ["a session that expired", [On.sessionExpired], { 'vmcp_keepalive_session_expired_total{backend_id="a"}': 1 }],
    ["a call that began", [On.callBegan], { 'vmcp_keepalive_calls_in_flight{backend_id="a"}': 1 }],
    ...reasons
      .filter((reason) => reason !== "closed")
      .map(
        (reason) =>
          [
            `a session that was lost: ${reason}`,
            [On.sessionClosed(reason)],
            { [`vmcp_keepalive_session_lost_total{backend_id="a",reason="${reason}"}`]: 1 }
          ] as const
      ),
    ["the first attempt, which is no reconnection", [On.connected()], {}],
    [
      "later attempts",
      [On.refused(), On.refused(), On.refused(), On.connected()],
      {
        'vmcp_keepalive_connect_failure_total{backend_id="a",reason="refused"}': 3,
        'vmcp_keepalive_reconnect_total{backend_id="a",outcome="failed"}': 2,
        'vmcp_keepalive_reconnect_total{backend_id="a",outcome="ok"}': 1
      }
    ],
    [
      "entries of lists that came, went or changed",
      [
        { _tag: "ListChanged", kind: "tools", added: ["x", "y"], removed: [], changed: [] },
        { _tag: "ListChanged", kind: "tools", added: ["z"], removed: ["x"], changed: ["y"] },
        { _tag: "ListChanged", kind: "resources", added: [], removed: ["file:///x"], changed: [] }
      ],
      {
        'vmcp_keepalive_list_changes_total{backend_id="a",change="added",kind="tools"}': 3,
        'vmcp_keepalive_list_changes_total{backend_id="a",change="changed",kind="tools"}': 1,
        'vmcp_keepalive_list_changes_total{backend_id="a",change="removed",kind="tools"}': 1,
        'vmcp_keepalive_list_changes_total{backend_id="a",change="removed",kind="resources"}': 1
      }
    ],
    [
      "events that no metric is about",
      [
        { _tag: "AttemptScheduled", delay: On.delay },
        { _tag: "Stabilized" },
        On.sessionClosed("closed"),
        { _tag: "Noticed", notice: "garbage", count: 3 }
      ],
      {}
    ],
    ...On.tags.map((tag) => [`a start: ${tag}`, [On.started(tag)], On.stateFigures("a", tag)] as const),
    ...On.tags.flatMap((from) =>
      On.tags
        .filter((to) => to !== from)
        .map((to) => [`${from} to ${to}`, [On.changed(from, to)], On.stateFigures("a", to)] as const)
    )
  ]
  for (const [name, happenings, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", ...happenings)
        const ofA = { ...On.stateFigures("a", "Connecting"), ...expected }
        assert.deepStrictEqual(yield* On.figures, ofA)
        tell("b", ...happenings)
        const ofB = Object.entries(ofA).map(([series, figure]) => [series.replace('"a"', '"b"'), figure])
        assert.deepStrictEqual(yield* On.figures, { ...ofA, ...Object.fromEntries(ofB) })
      }).pipe(counting(), On.isolated)
    )
  }
})

describe("a histogram of latencies", () => {
  it.effect("is in seconds, with bounds from 1 ms to 30 s that belong to their bucket", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      for (const latency of ["1 millis", "1001 micros", "2.5 seconds", "30 seconds", "31 seconds"] as const) {
        tell("a", On.answered(latency))
      }
      const [point] = (yield* Metric.snapshot).filter(({ type }) => type === "Histogram")
      if (point?.type !== "Histogram") return assert.fail("no histogram")
      const { buckets, count, max, min, sum } = point.state
      assert.deepStrictEqual(buckets, [
        [0.001, 1],
        [0.0025, 2],
        [0.005, 2],
        [0.01, 2],
        [0.025, 2],
        [0.05, 2],
        [0.1, 2],
        [0.25, 2],
        [0.5, 2],
        [1, 2],
        [2.5, 3],
        [5, 3],
        [10, 3],
        [30, 4]
      ])
      assert.deepStrictEqual({ count, max, min }, { count: 5, max: 31, min: 0.001 })
      assert.closeTo(sum, 63.502001, 1e-9)
    }).pipe(counting(), On.isolated)
  )
})

describe("a histogram of calls", () => {
  it.effect("is in seconds, with few bounds, for each outcome", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      for (const duration of ["10 millis", "11 millis", "2 seconds", "5 minutes", "301 seconds"] as const) {
        tell("a", On.callBegan, On.called("ok", duration))
      }
      tell("a", On.callBegan, On.called("rejected", 0))
      const point = (outcome: string) =>
        Effect.map(Metric.snapshot, (points) => {
          const found = points.find(
            ({ attributes, type }) => type === "Histogram" && attributes?.["outcome"] === outcome
          )
          return found?.type === "Histogram" ? found.state : assert.fail("no histogram")
        })
      const { buckets, count, sum } = yield* point("ok")
      assert.deepStrictEqual(
        buckets.map(([bound]) => bound),
        [0.01, 0.05, 0.2, 1, 5, 30, 120, 300]
      )
      assert.deepStrictEqual(
        buckets.map(([, upTo]) => upTo),
        [1, 2, 2, 2, 3, 3, 3, 4]
      )
      assert.strictEqual(count, 5)
      assert.closeTo(sum, 603.021, 1e-9)
      assert.strictEqual((yield* point("rejected")).count, 1)
    }).pipe(counting(), On.isolated)
  )
})

describe("calls in flight", () => {
  it.effect("are those that began and have not ended, never below none, and of all backends of an id", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      const inFlight = Effect.map(On.figures, (figures) => figures['vmcp_keepalive_calls_in_flight{backend_id="a"}'])
      tell("a", On.sent)
      assert.isUndefined(yield* inFlight)
      tell("a", On.callBegan, On.callBegan)
      assert.strictEqual(yield* inFlight, 2)
      // one that is replaced still has a call under way
      tell("a", On.started(), On.callBegan)
      assert.strictEqual(yield* inFlight, 3)
      for (const outcome of ["outcome_unknown", "ok", "rejected"] as const) tell("a", On.called(outcome))
      assert.strictEqual(yield* inFlight, 0)
      // one of before the series, which began anew
      tell("a", On.called("ok"), On.callBegan)
      assert.strictEqual(yield* inFlight, 1)
    }).pipe(counting(), On.isolated)
  )
})

describe("the number of backends", () => {
  it.effect("is exported before there is one, and counts those that are not closed, with series or without", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      const backends = Effect.map(Metric.snapshot, (points) =>
        points.flatMap(({ id, state }) => (id === On.backends && "value" in state ? [state.value] : []))
      )
      assert.deepStrictEqual(yield* backends, [0])
      tell("a", On.sent)
      // beyond maxBackends
      tell("b", On.sent)
      tell("b", On.started())
      assert.deepStrictEqual(yield* backends, [3])
      tell("b", On.changed("Connecting", "Closed"))
      tell("a", On.changed("Connecting", "Closed"), On.sent)
      assert.deepStrictEqual(yield* backends, [1])
      tell("b", On.changed("Connecting", "Closed"))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* backends, [0])
    }).pipe(counting({ maxBackends: 1 }), Effect.provide(Logger.layer([])), On.isolated)
  )
})

describe("the state of a backend", () => {
  it.effect("is known from its start, and changes with every change", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.started("Idle"))
      assert.deepStrictEqual(yield* On.figures, On.stateFigures("a", "Idle"))
      let from: On.Tag = "Idle"
      for (const to of On.tags) {
        tell("a", On.changed(from, to))
        assert.deepStrictEqual(yield* On.figures, On.stateFigures("a", to))
        from = to
      }
    }).pipe(counting(), On.isolated)
  )
})

describe("a backend that has closed", () => {
  it.effect("keeps its series for removeAfter, and then has none", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      const everything = [
        On.sent,
        On.answered("1 millis"),
        On.missed("reset"),
        On.suppressed,
        On.opened("reset"),
        On.connected(),
        On.refused(),
        ...On.outcomes.flatMap((outcome) => [On.callBegan, On.called(outcome)]),
        On.changed("Connected", "Disconnected")
      ]
      tell("stays", ...everything)
      const stays = yield* On.figures
      tell("goes", ...everything, On.changed("Disconnected", "Closed"), On.called("outcome_unknown"))
      const both = yield* On.figures
      assert.strictEqual(Object.keys(both).length, 2 * Object.keys(stays).length)
      assert.strictEqual(both['vmcp_keepalive_call_total{backend_id="goes",outcome="outcome_unknown"}'], 2)
      yield* TestClock.adjust("89 seconds")
      assert.deepStrictEqual(yield* On.figures, both)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* On.figures, stays)
    }).pipe(counting({ removeAfter: "90 seconds" }), On.isolated)
  )

  it.effect("goes on counting if one of its id appears meanwhile, whose first attempt is a first one", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.started(), On.connected(), On.sent, On.changed("Connected", "Closed"))
      yield* TestClock.adjust("59 seconds")
      tell("a", On.started(), On.connected(), On.changed("Connecting", "Connected"), On.sent)
      yield* TestClock.adjust("1 hour")
      const expected = { 'vmcp_keepalive_attempt_total{backend_id="a"}': 2, ...On.stateFigures("a", "Connected") }
      assert.deepStrictEqual(yield* On.figures, expected)
      tell("a", On.changed("Connected", "Closed"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(counting(), On.isolated)
  )

  it.effect("which another of its id has replaced before, says nothing of that one", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.started(), On.changed("Connecting", "Connected"))
      tell("a", On.started(), On.changed("Connecting", "Connected"))
      tell("a", On.changed("Connected", "Closed"))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* On.figures, On.stateFigures("a", "Connected"))
      tell("a", On.changed("Connected", "Closed"))
      assert.deepStrictEqual(yield* On.figures, On.stateFigures("a", "Closed"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(counting(), On.isolated)
  )

  it.effect("begins at zero again if one of its id appears later", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.sent, On.sent, On.changed("Connected", "Closed"))
      yield* TestClock.adjust("1 minute")
      tell("a", On.started(), On.sent)
      assert.deepStrictEqual(yield* On.counts, { 'vmcp_keepalive_attempt_total{backend_id="a"}': 1 })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* On.counts, { 'vmcp_keepalive_attempt_total{backend_id="a"}': 1 })
    }).pipe(counting(), On.isolated)
  )

  it.effect("gets no series back from what it says after they were removed, and takes no other's place", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      for (let id = 0; id < 1000; id++) {
        tell(`${id}`, On.sent, On.changed("Connected", "Closed"))
        if (id % 100 === 99) yield* TestClock.adjust("1 minute")
      }
      for (let id = 0; id < 1000; id++) tell(`${id}`, On.called("rejected"), On.sessionClosed("timeout"))
      assert.deepStrictEqual(yield* On.figures, {})
      for (let id = 1000; id < 1100; id++) tell(`${id}`, On.called("rejected"))
      assert.strictEqual(Object.keys(yield* On.figures).length, 100 * (9 + 3))
    }).pipe(counting({ maxBackends: 100 }), On.isolated)
  )

  it.effect("keeps them from the last of two that had its id, and delays no other backend", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.changed("Connected", "Closed"))
      yield* TestClock.adjust("30 seconds")
      tell("b", On.changed("Connected", "Closed"))
      yield* TestClock.adjust("15 seconds")
      tell("a", On.started(), On.changed("Connected", "Closed"))
      yield* TestClock.adjust("45 seconds")
      assert.deepStrictEqual(yield* On.figures, On.stateFigures("a", "Closed"))
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(counting(), On.isolated)
  )

  it.effect("leaves at its own time where many close one after the other", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      for (let second = 0; second < 30; second++) {
        tell(`${second}`, On.changed("Connected", "Closed"))
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("30 seconds")
      for (let second = 0; second < 30; second++) {
        assert.strictEqual(Object.keys(yield* On.figures).length, 9 * (29 - second))
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(counting(), On.isolated)
  )
})

describe("beyond maxBackends", () => {
  const warnings: Array<unknown> = []
  const logger = Logger.layer([
    Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(message)
    })
  ])
  it.effect("a backend has no series, its events are counted as dropped, and one warning says so", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      for (const backend of ["a", "b", "c", "d"]) {
        tell(backend, On.sent, On.suppressed, On.called("ok"), { _tag: "Stabilized" })
      }
      yield* Effect.yieldNow
      const counted = yield* On.counts
      // every event, their starts included
      assert.strictEqual(counted["vmcp_keepalive_dropped_total"], 2 * 5)
      assert.strictEqual(Object.keys(counted).length, 2 * 4 + 1)
      assert.isEmpty(Object.keys(yield* On.figures).filter((series) => /"[cd]"/.test(series)))
      assert.strictEqual(warnings.length, 1)
      assert.include(String(warnings[0]), "maxBackends")

      tell("a", On.changed("Connected", "Closed"))
      yield* TestClock.adjust("1 minute")
      // it would have no state, and its first attempt is long over
      tell("c", On.sent, On.changed("Connecting", "Connected"))
      assert.strictEqual((yield* On.counts)["vmcp_keepalive_dropped_total"], 12)
      // one of its id that replaces it gets none while it lives, for its end must not be taken for that one's
      tell("c", On.started())
      tell("c", On.changed("Connected", "Closed"), On.sent, On.changed("Connecting", "Closed"))
      assert.strictEqual((yield* On.counts)["vmcp_keepalive_dropped_total"], 16)
      assert.isEmpty(Object.keys(yield* On.figures).filter((series) => /"[acd]"/.test(series)))
      tell("c", On.started("Connected"), On.sent)
      assert.deepInclude(yield* On.figures, {
        ...On.stateFigures("c", "Connected"),
        'vmcp_keepalive_attempt_total{backend_id="c"}': 1,
        vmcp_keepalive_dropped_total: 16
      })
      assert.strictEqual(warnings.length, 1)
    }).pipe(counting({ maxBackends: 2 }), Effect.provide(logger), On.isolated)
  )
})

describe("when the layer closes", () => {
  it.effect("no series is left, and none comes back", () =>
    Effect.gen(function* () {
      const tell = yield* Effect.gen(function* () {
        const tell = yield* On.tell
        for (const backend of ["a", "b", "c"]) tell(backend, On.sent, On.changed("Connected", "Closed"))
        assert.isAbove(Object.keys(yield* On.figures).length, 20)
        return tell
      }).pipe(counting({ maxBackends: 2 }))
      assert.deepStrictEqual(yield* On.figures, {})
      tell("a", On.sent, On.changed("Connected", "Closed"))
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(On.isolated)
  )

  it.effect("metrics of the app in the same registry stay", () =>
    Effect.gen(function* () {
      const own = Metric.counter("app_total")
      yield* Metric.update(own, 3)
      yield* Effect.asVoid(On.tell).pipe(counting())
      assert.deepStrictEqual(yield* On.figures, { app_total: 3 })
    }).pipe(On.isolated)
  )
})

describe("two layers over each other", () => {
  it.effect("count once, and leave the observers of others in place", () => {
    const seen: Array<string> = []
    return Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.sent)
      assert.deepStrictEqual(yield* On.counts, { 'vmcp_keepalive_attempt_total{backend_id="a"}': 1 })
      assert.deepStrictEqual(seen, ["Started", "ProbeSent"])
    }).pipe(
      counting(),
      Effect.provide(KeepaliveEvent.layerObserver(({ _tag }) => seen.push(_tag))),
      counting({ removeAfter: "2 minutes" }),
      On.isolated
    )
  })
})

describe("two apps in one process that count in one registry", () => {
  it.effect("do not end each other's series, and the last to leave removes them all", () =>
    Effect.gen(function* () {
      const [before, after] = [yield* Scope.make(), yield* Scope.make()]
      const inApp = (scope: Scope.Scope) =>
        Effect.map(Layer.buildWithScope(KeepaliveMetrics.layer(), scope), (context) => Effect.provide(context))
      const tellBefore = yield* On.tell.pipe(yield* inApp(before))
      tellBefore("github", On.connected(), On.changed("Connecting", "Connected"), On.sent)
      const tellAfter = yield* On.tell.pipe(yield* inApp(after))
      tellAfter("github", On.connected(), On.changed("Connecting", "Connected"), On.sent)

      tellBefore("github", On.changed("Connected", "Closed"))
      yield* Scope.close(before, Exit.void)
      yield* TestClock.adjust("1 hour")
      tellAfter("github", On.sent)
      const attempts = 'vmcp_keepalive_attempt_total{backend_id="github"}'
      assert.deepStrictEqual(yield* On.figures, { ...On.stateFigures("github", "Connected"), [attempts]: 3 })

      yield* Scope.close(after, Exit.void)
      tellAfter("github", On.sent)
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(On.isolated)
  )

  it.effect("count each in its own where each has one", () =>
    Effect.gen(function* () {
      const count = Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* Effect.yieldNow
        return yield* On.counts
      }).pipe(counting(), On.isolated)
      const attempts = { 'vmcp_keepalive_attempt_total{backend_id="a"}': 1 }
      assert.deepStrictEqual(yield* Effect.all([count, count], { concurrency: 2 }), [attempts, attempts])
    })
  )
})

describe("layers side by side", () => {
  it.effect("count once, and leave the observers of others in place", () => {
    const seen: Array<string> = []
    return Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.sent)
      assert.deepStrictEqual(yield* On.counts, { 'vmcp_keepalive_attempt_total{backend_id="a"}': 1 })
      assert.deepStrictEqual(seen, ["Started", "ProbeSent"])
    }).pipe(
      Effect.provide([
        KeepaliveMetrics.layer(),
        KeepaliveMetrics.layerPrometheus({ port: 0 }),
        KeepaliveEvent.layerObserver(({ _tag }) => seen.push(_tag)),
        KeepaliveMetrics.layer()
      ]),
      On.isolated
    )
  })
})

describe("options that cannot work", () => {
  const wrong: ReadonlyArray<readonly [KeepaliveMetrics.Options, ReadonlyArray<string>]> = [
    [{ maxBackends: 0 }, ["maxBackends"]],
    [{ maxBackends: 1.5, removeAfter: -1 }, ["maxBackends", "removeAfter"]]
  ]
  for (const [options, paths] of wrong) {
    it.effect(`fail the layer, all at once: ${paths.join(", ")}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(counting(options)(Effect.void))
        assert.strictEqual(error._tag, "TelemetryConfigurationError")
        assert.deepStrictEqual(
          error.issues.map(({ path }) => path.join(".")),
          paths
        )
        for (const path of paths) assert.include(error.message, `${path}: expected `)
      }).pipe(On.isolated)
    )
  }
})

describe("100,000 events from 1,000 backends, as fast as they come", () => {
  it.effect("every counter equals what happened, and at any time every backend is in exactly one state", () => {
    const oracle = On.makeOracle()
    return Effect.gen(function* () {
      const tell = yield* On.tell
      const current = new Map<string, On.Tag>()
      const pick = <A>(items: ReadonlyArray<A>) =>
        Effect.map(Random.nextIntBetween(0, items.length - 1), (index) => items[index] ?? assert.fail("out of range"))
      const states = On.tags.filter((tag) => tag !== "Closed")
      const under: Array<string> = []
      for (let count = 0; count < 100_000; count++) {
        const backend = `backend ${yield* Random.nextIntBetween(0, 999)}`
        const from = current.get(backend) ?? "Connecting"
        const to = yield* pick(states.filter((tag) => tag !== from))
        const happening = yield* pick([
          On.sent,
          On.answered((yield* Random.next) * 40_000),
          On.missed(yield* pick(FailureReason.all)),
          On.suppressed,
          On.opened(yield* pick(FailureReason.all)),
          On.connected(),
          On.refused(),
          On.sessionClosed(yield* pick(FailureReason.all)),
          On.callBegan,
          On.changed(from, to)
        ])
        tell(backend, happening)
        if (happening === On.callBegan) under.push(backend)
        // ten are in flight
        if (under.length > 10) tell(under.shift() ?? "", On.called(yield* pick(On.outcomes), yield* Random.next))
        current.set(backend, happening._tag === "StateChanged" ? to : from)
        if (count % 9_973 !== 0) continue
        const ones = new Map<string, number>()
        for (const { attributes, id, state } of yield* Metric.snapshot) {
          if (id !== "vmcp_keepalive_state" || !("value" in state)) continue
          const backend = attributes?.["backend_id"] ?? ""
          ones.set(backend, (ones.get(backend) ?? 0) + Number(state.value))
        }
        assert.deepStrictEqual([...ones.keys()].toSorted(), [...current.keys()].toSorted())
        assert.isTrue([...ones.values()].every((sum) => sum === 1))
      }
      assert.strictEqual(current.size, 1000)
      assert.deepStrictEqual(yield* On.figures, oracle.expected())
    }).pipe(
      Random.withSeed("storm"),
      counting(),
      Effect.provide(KeepaliveEvent.layerObserver(oracle.observer)),
      On.isolated
    )
  })
})
