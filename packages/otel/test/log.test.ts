/** What is logged, and how often. */
import { assert, describe, it } from "@effect/vitest"
import { KeepaliveEvent } from "@vmcp-keepalive/core"
import { Effect, Logger, Random, References } from "effect"
import { TestClock } from "effect/testing"
import { KeepaliveLog } from "../src/index.ts"
import * as On from "./support.ts"

interface Line {
  readonly level: string
  readonly message: unknown
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Runs with the log layer, and gives the lines that were written so far. */
const logging =
  (options: KeepaliveLog.Options = {}, minimum: "Debug" | "Info" = "Info") =>
  <A, E, R>(body: (lines: () => ReadonlyArray<Line>) => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const lines: Array<Line> = []
      const logger = Logger.map(Logger.formatStructured, ({ annotations, level, message }) => {
        lines.push({ annotations, level, message })
      })
      return body(() => lines).pipe(
        Effect.provide(KeepaliveLog.layer(options)),
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, minimum),
        Effect.map((value) => ({ value, lines }))
      )
    })

const summary = ({ annotations, level, message }: Line) =>
  `${level} ${String(message)}${"repeated" in annotations ? ` x${String(annotations["repeated"])}` : ""}`

/** A connection that is lost and comes back, again and again. */
const flap = [
  On.changed("Connected", "Disconnected"),
  On.sessionClosed("reset"),
  On.changed("Disconnected", "Connecting"),
  On.changed("Connecting", "Connected")
]

describe("a change of state", () => {
  const level: { readonly [Tag in On.Tag]: string } = {
    Idle: "INFO",
    Connecting: "DEBUG",
    Connected: "INFO",
    Unhealthy: "WARN",
    Disconnected: "WARN",
    CircuitOpen: "ERROR",
    NeedsAuth: "ERROR",
    Isolated: "INFO",
    Closed: "INFO"
  }
  it.effect("is one line, at the level of what it leads to", () =>
    logging(
      {},
      "Debug"
    )(() =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        for (const from of On.tags) {
          for (const to of On.tags.filter((tag) => tag !== from)) tell(`${from} ${to}`, On.changed(from, to))
        }
      })
    ).pipe(
      Effect.map(({ lines }) => {
        const expected = On.tags.flatMap((from) =>
          On.tags
            .filter((to) => to !== from)
            .map((to) => {
              // the session was lost, and nobody said that it was on purpose
              const lost = to === "Connecting" && (from === "Connected" || from === "Unhealthy")
              return `${lost ? "WARN" : level[to]} ${from} ${to}: ${from} -> ${to}`
            })
        )
        assert.deepStrictEqual(lines.map(summary).toSorted(), expected.toSorted())
      })
    )
  )

  it.effect("says what is known of it", () =>
    logging(
      {},
      "Debug"
    )(() =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", {
          _tag: "StateChanged",
          from: On.stateOf.Idle,
          to: { _tag: "Connecting", since: 0, attempt: 2, trial: true, reason: "dns" }
        })
        tell("a", On.refused("ECONNREFUSED"), On.changed("Connecting", "Disconnected"))
        tell("a", On.changed("Disconnected", "Connecting"))
        tell("a", On.refused("ECONNREFUSED"), On.refused(), On.changed("Connecting", "CircuitOpen"))
        tell("a", On.changed("Connecting", "Connected"))
        tell("a", {
          _tag: "StateChanged",
          from: On.stateOf.Connected,
          to: { _tag: "Unhealthy", since: 0, generation: 7, failures: 2, reason: "timeout", held: true }
        })
        tell("a", On.changed("Unhealthy", "Connecting"), On.sessionClosed("process_exit", "exit code 1"))
        tell("b", On.changed("Connected", "Connecting"), On.sessionDraining("session_lost"))
        tell("b", On.changed("Connected", "Connecting"), On.sessionClosed("closed"))
        tell("b", On.refused("ECONNREFUSED"), On.changed("Connecting", "Disconnected"))
        tell("b", On.changed("Connecting", "NeedsAuth"))
      })
    ).pipe(
      Effect.map(({ lines }) => {
        const a = { backend_id: "a" }
        assert.deepStrictEqual(
          lines.map(({ annotations, level }): Record<string, unknown> => ({ level, ...annotations })),
          [
            { level: "DEBUG", ...a, from: "Idle", to: "Connecting", attempt: 2, trial: true, reason: "dns" },
            {
              level: "WARN",
              ...a,
              from: "Connecting",
              to: "Disconnected",
              attempt: 1,
              reason: "refused",
              detail: "ECONNREFUSED"
            },
            { level: "DEBUG", ...a, from: "Disconnected", to: "Connecting", attempt: 1, trial: false },
            { level: "ERROR", ...a, from: "Connecting", to: "CircuitOpen", openings: 1, reason: "refused" },
            { level: "INFO", ...a, from: "Connecting", to: "Connected", generation: 1 },
            {
              level: "WARN",
              ...a,
              from: "Connected",
              to: "Unhealthy",
              generation: 7,
              failures: 2,
              reason: "timeout",
              held: true
            },
            {
              level: "WARN",
              ...a,
              from: "Unhealthy",
              to: "Connecting",
              attempt: 1,
              trial: false,
              reason: "process_exit",
              detail: "exit code 1"
            },
            {
              level: "WARN",
              backend_id: "b",
              from: "Connected",
              to: "Connecting",
              attempt: 1,
              trial: false,
              reason: "session_lost"
            },
            {
              level: "INFO",
              backend_id: "b",
              from: "Connected",
              to: "Connecting",
              attempt: 1,
              trial: false,
              reason: "closed"
            },
            {
              level: "WARN",
              backend_id: "b",
              from: "Connecting",
              to: "Disconnected",
              attempt: 1,
              reason: "refused",
              detail: "ECONNREFUSED"
            },
            { level: "ERROR", backend_id: "b", from: "Connecting", to: "NeedsAuth", reason: "auth" }
          ]
        )
      })
    )
  )

  it.effect("that ends a session is written although nobody tells how it ended", () =>
    logging()((lines) =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.changed("Connected", "Disconnected"))
        yield* Effect.promise(() => Promise.resolve())
        assert.deepStrictEqual(lines().map(summary), ["WARN a: Connected -> Disconnected"])
      })
    )
  )
})

describe("steady success", () => {
  it.effect("is silent, however long it lasts", () =>
    logging(
      {},
      "Debug"
    )((lines) =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        for (let hour = 0; hour < 100; hour++) {
          tell(
            "a",
            On.sent,
            On.answered("5 millis"),
            On.suppressed,
            ...On.outcomes.map((outcome) => On.called(outcome))
          )
          tell("a", { _tag: "Stabilized" }, { _tag: "Noticed", notice: "stream_lost", count: 2 })
          yield* TestClock.adjust("1 hour")
        }
        assert.isEmpty(lines())
      })
    )
  )
})

describe("a repeated change", () => {
  it.effect("is written at once, then counted, and written with its count when the minute is over", () =>
    logging()((lines) =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        for (let second = 0; second < 60; second++) {
          tell("a", ...flap)
          yield* TestClock.adjust("1 second")
          if (second < 59) assert.strictEqual(lines().length, 2)
        }
        assert.deepStrictEqual(lines().map(summary), [
          "WARN a: Connected -> Disconnected",
          "INFO a: Connecting -> Connected",
          "WARN a: Connected -> Disconnected (59 more times) x59",
          "INFO a: Connecting -> Connected (59 more times) x59"
        ])
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(lines().length, 4)
        tell("a", ...flap)
        assert.deepStrictEqual(lines().slice(4).map(summary), [
          "WARN a: Connected -> Disconnected",
          "INFO a: Connecting -> Connected"
        ])
      })
    )
  )

  it.effect("is told with what was known of its last occurrence", () =>
    logging()((lines) =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        for (const generation of [1, 2, 3]) {
          tell("a", {
            _tag: "StateChanged",
            from: On.stateOf.Connecting,
            to: { _tag: "Connected", since: 0, generation }
          })
        }
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(
          lines().map(({ annotations }) => [annotations["generation"], annotations["repeated"]]),
          [
            [1, undefined],
            [3, 2]
          ]
        )
      })
    )
  )

  it.effect("of another backend, from another state or for another reason is another line", () =>
    logging()((lines) =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        for (const backend of ["a", "b"]) {
          for (const reason of ["timeout", "reset", "timeout", "reset"] as const) {
            const to = { ...On.stateOf.Disconnected, reason }
            tell(backend, { _tag: "StateChanged", from: On.stateOf.Connecting, to })
            tell(backend, { _tag: "StateChanged", from: On.stateOf.Idle, to })
          }
        }
        assert.strictEqual(lines().length, 8)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(lines().length, 16)
      })
    )
  )

  it.effect("never makes more lines than there are different ones, in any minute of an hour of flapping", () =>
    logging({ foldFor: "1 minute" })((lines) =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        /** lines up to the end of each second; those of the very first moment stand for themselves */
        const perSecond: Array<number> = []
        let told = 0
        for (let second = 0; second < 3600; second++) {
          const times = yield* Random.nextIntBetween(1, 20)
          for (let count = 0; count < times; count++) tell("a", ...flap)
          told += times
          if (second === 0) perSecond.push(lines().length)
          const before = lines().length
          yield* TestClock.adjust("1 second")
          perSecond.push(lines().length - before)
        }
        for (let begin = 0; begin + 60 <= perSecond.length; begin++) {
          const written = perSecond.slice(begin, begin + 60).reduce((sum, count) => sum + count, 0)
          assert.isAtMost(written, 2, `from second ${begin}`)
        }
        yield* TestClock.adjust("2 minutes")
        const lost = lines().filter(({ annotations }) => annotations["to"] === "Disconnected")
        const counted = lost.reduce((sum, { annotations }) => sum + Number(annotations["repeated"] ?? 1), 0)
        assert.strictEqual(counted, told)
        assert.strictEqual(lost.length, 61)
      })
    ).pipe(Random.withSeed("flap"))
  )

  it.effect("that is not written when the layer closes is written then, and nothing after it", () =>
    Effect.gen(function* () {
      const { lines, value: tell } = yield* logging()(() =>
        Effect.gen(function* () {
          const tell = yield* On.tell
          tell("a", ...flap, ...flap, ...flap, On.changed("Connected", "Idle"))
          return tell
        })
      )
      assert.deepStrictEqual(lines.map(summary), [
        "WARN a: Connected -> Disconnected",
        "INFO a: Connecting -> Connected",
        "INFO a: Connected -> Idle",
        "WARN a: Connected -> Disconnected (2 more times) x2",
        "INFO a: Connecting -> Connected (2 more times) x2"
      ])
      tell("a", ...flap)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(lines.length, 5)
    })
  )
})

describe("a logger that throws", () => {
  it.effect("loses its own lines and nothing else", () => {
    const seen: Array<string> = []
    let broken = true
    const logger = Logger.make(({ message }) => {
      if (broken) throw new Error("full")
      seen.push(String(message))
    })
    return Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.changed("Connecting", "Connected"), On.changed("Connecting", "Connected"))
      yield* TestClock.adjust("1 minute")
      broken = false
      tell("a", On.changed("Connecting", "Connected"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(seen, ["a: Connecting -> Connected (1 more time)"])
    }).pipe(Effect.provide(KeepaliveLog.layer()), Effect.provide(Logger.layer([logger])))
  })
})

describe("beside other observers", () => {
  it.effect("the log takes nothing away from them", () => {
    const seen: Array<string> = []
    return Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", On.sent)
      assert.deepStrictEqual(seen, ["Started", "ProbeSent"])
    }).pipe(
      Effect.provide(KeepaliveLog.layer()),
      Effect.provide(KeepaliveEvent.layerObserver(({ _tag }) => seen.push(_tag)))
    )
  })
})
