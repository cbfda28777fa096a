import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Backend, KeepalivePolicy } from "../src/index.ts"
import * as Delays from "../src/internal/delays.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const http = { connectTimeout: "30 seconds", supportsOptions: true } as const
const stdio = { connectTimeout: "120 seconds", supportsOptions: false } as const

/** As it comes from a configuration file or from JavaScript: nobody has checked a type. */
const resolve = (options: Readonly<Record<string, unknown>>, connector: typeof http | typeof stdio = http) =>
  KeepalivePolicy.resolve({ ...options }, connector)

const paths = (options: Readonly<Record<string, unknown>>, connector: typeof http | typeof stdio = http) =>
  resolve(options, connector).issues.map((issue) => issue.path.join("."))

const valid = (options: Readonly<Record<string, unknown>>, connector: typeof http | typeof stdio = http) => {
  const { issues, policy } = resolve(options, connector)
  assert.deepStrictEqual(issues, [])
  return policy
}

const nested = (path: string, value: unknown): Record<string, unknown> =>
  path.split(".").reduceRight<Record<string, unknown>>((inner, key, index, keys) => {
    return { [key]: index === keys.length - 1 ? value : inner }
  }, {})

const at = (policy: KeepalivePolicy.KeepalivePolicy, path: string): unknown => {
  let value: unknown = policy
  for (const key of path.split(".")) value = Object.entries(value ?? {}).find(([name]) => name === key)?.[1]
  return value
}

describe("the defaults", () => {
  it("are those of the contract, number by number", () => {
    assert.deepStrictEqual(valid({}), {
      probe: "auto",
      interval: Duration.seconds(300),
      timeout: Duration.seconds(10),
      confirmInterval: Duration.seconds(5),
      failureThreshold: 3,
      fallbackAfter: 2,
      connectTimeout: Duration.seconds(30),
      cadence: undefined,
      backoff: { initial: Duration.seconds(1), factor: 2, cap: Duration.seconds(300) },
      circuit: {
        failures: 5,
        openFor: { initial: Duration.seconds(30), factor: 2, cap: Duration.minutes(5) }
      },
      stableAfter: Duration.seconds(30),
      waitForSession: Duration.seconds(10),
      staleAfter: Duration.seconds(60),
      inFlightGrace: Duration.minutes(5),
      drainTimeout: Duration.seconds(30),
      removalGrace: Duration.seconds(30),
      connect: "eager",
      reattempt: "immediate",
      idleAfter: "never",
      maxLifetime: "never",
      maxConcurrent: "none",
      queue: 1000,
      replayBudget: { ratio: 0.2, window: Duration.seconds(10) },
      trustAnnotations: false,
      required: false,
      startDeadline: Duration.seconds(30),
      spans: false
    })
  })

  it("are taken for whatever is given as undefined", () => {
    const keys = Object.keys(valid({}))
    assert.deepStrictEqual(valid(Object.fromEntries(keys.map((key) => [key, undefined]))), valid({}))
    assert.deepStrictEqual(
      valid({
        backoff: { initial: undefined, factor: undefined, cap: undefined },
        circuit: { failures: undefined, openFor: undefined }
      }),
      valid({})
    )
  })

  it("fit a short interval: timeout is half of it, and death is confirmed no slower than at the interval", () => {
    for (const [interval, timeout, confirmInterval] of [
      [1, 0.5, 1],
      [4, 2, 4],
      [5, 2.5, 5],
      [19, 9.5, 5],
      [20, 10, 5],
      [21, 10, 5],
      [86_400, 10, 5]
    ] as const) {
      const policy = valid({ interval: Duration.seconds(interval) })
      assert.strictEqual(Duration.toSeconds(policy.timeout), timeout)
      assert.strictEqual(Duration.toSeconds(policy.confirmInterval), confirmInterval)
    }
  })

  it("leave time for a cold start where the transport is slow to connect", () => {
    assert.strictEqual(Duration.toSeconds(valid({}, stdio).connectTimeout), 120)
    assert.strictEqual(Duration.toSeconds(valid({ connectTimeout: "1 minute" }, stdio).connectTimeout), 60)
  })

  it("fill what a partial backoff or circuit leaves out", () => {
    assert.deepStrictEqual(valid({ backoff: { cap: "10 seconds" } }).backoff, {
      initial: Duration.seconds(1),
      factor: 2,
      cap: Duration.seconds(10)
    })
    assert.deepStrictEqual(valid({ circuit: { openFor: { factor: 3 } } }).circuit, {
      failures: 5,
      openFor: { initial: Duration.seconds(30), factor: 3, cap: Duration.minutes(5) }
    })
    // a cap that is left out is never below what is given
    assert.deepStrictEqual(valid({ backoff: { initial: "10 minutes" } }).backoff, {
      initial: Duration.minutes(10),
      factor: 2,
      cap: Duration.minutes(10)
    })
  })
})

describe("the bounds", () => {
  const accepted: ReadonlyArray<readonly [path: string, ...values: ReadonlyArray<unknown>]> = [
    ["interval", "1 second", 1000, "24 hours", { seconds: 1 }, [1, 0], 1_000_000_000n, Duration.hours(24)],
    ["timeout", 1, "299 seconds", "299999 millis"],
    ["confirmInterval", 1, "300 seconds"],
    ["failureThreshold", 1, 1000],
    ["fallbackAfter", 1],
    ["connectTimeout", 1, "2 days"],
    ["backoff.initial", 1, "1 hour"],
    ["backoff.factor", 1, 1.5, 10],
    ["backoff.cap", "1 second", "1 hour"],
    ["circuit", "none", {}],
    ["circuit.failures", 1],
    ["circuit.openFor", 1, "30 minutes", { minutes: 30 }, [1800, 0], "1 day"],
    ["circuit.openFor.initial", 1],
    ["circuit.openFor.factor", 1],
    ["circuit.openFor.cap", "30 seconds"],
    ["stableAfter", 0, "1 hour", { minutes: undefined, seconds: 30 }],
    ["waitForSession", 0, "Infinity"],
    ["staleAfter", 0, "Infinity"],
    ["inFlightGrace", 0, "Infinity"],
    ["drainTimeout", 0, "Infinity"],
    ["removalGrace", 0, "1 hour"],
    ["connect", "eager", "lazy"],
    ["reattempt", "immediate", "backoff"],
    ["idleAfter", "never", 1, "30 days"],
    ["maxLifetime", "never", 1, "30 days"],
    ["maxConcurrent", "none", 1, 1_000_000],
    ["queue", 0, 1, 1_000_000],
    ["replayBudget", "none", {}],
    ["replayBudget.ratio", 0, 0.5, 1],
    ["replayBudget.window", 1, "1 hour"],
    ["trustAnnotations", true, false],
    ["required", true, false],
    ["startDeadline", 0, "1 minute"],
    ["spans", true, false],
    ["cadence", Schedule.spaced("1 minute")],
    ["backoff", Schedule.spaced("1 minute"), {}],
    ["circuit.openFor", Schedule.spaced("1 minute"), {}],
    ["probe", "auto", "ping", "list-tools", "discover", "options", "none"],
    [
      "probe",
      { method: "tool", tool: { name: "ok" } },
      { method: "ping", tool: { name: "ok", arguments: { deep: [1] } } }
    ]
  ]

  it.each(accepted.map(([path, ...values]) => ({ path, values })))(
    "of $path include their edge",
    ({ path, values }) => {
      for (const value of values) assert.deepStrictEqual(paths(nested(path, value)), [])
    }
  )

  const noDuration: ReadonlyArray<unknown> = [
    null,
    true,
    "",
    "30",
    "30 secs",
    "30s",
    "30 seconds ",
    "thirty seconds",
    "never ever",
    NaN,
    "NaN",
    {},
    { second: 30 },
    { seconds: undefined },
    { seconds: "30" },
    { seconds: NaN },
    { seconds: 30, factor: 2 },
    [],
    [30],
    [30, NaN],
    [30, 0, 0],
    ["30", "0"],
    new Date(30_000),
    new Map([["seconds", 30]]),
    () => "30 seconds",
    Symbol("30 seconds"),
    Schedule.spaced("30 seconds")
  ]
  const negative = [-1, "-1 seconds", -1n, { seconds: -1 }, [-1, 0], -Infinity, "-Infinity", Duration.negativeInfinity]
  const infinite = [Infinity, "Infinity", Duration.infinity]
  const noCount = [0, -1, 1.5, NaN, Infinity, "3", "three", null, true, [], {}, 3n]

  const rejected: ReadonlyArray<readonly [path: string, ...values: ReadonlyArray<unknown>]> = [
    ["interval", 0, 999, "999 millis", "999999 micros", "86400001 millis", "25 hours", ...infinite, ...negative],
    ["timeout", 0, "300 seconds", "1 hour", ...infinite, ...negative],
    ["confirmInterval", 0, "300001 millis", ...infinite, ...negative],
    ["connectTimeout", 0, ...infinite, ...negative],
    ["backoff.initial", 0, ...infinite, ...negative],
    ["backoff.cap", "999 millis", 0, ...infinite, ...negative],
    ["circuit.openFor", 0, ...infinite, ...negative],
    ["circuit.openFor.initial", 0, ...infinite, ...negative],
    ["circuit.openFor.cap", "29 seconds", ...infinite, ...negative],
    ["stableAfter", ...infinite, ...negative],
    ["waitForSession", ...negative],
    ["staleAfter", ...negative],
    ["inFlightGrace", ...negative],
    ["drainTimeout", ...negative],
    ["removalGrace", ...infinite, ...negative],
    ["idleAfter", 0, ...infinite, ...negative],
    ["maxLifetime", 0, ...infinite, ...negative],
    ["maxConcurrent", ...noCount],
    ["queue", ...noCount.filter((value) => value !== 0)],
    ["replayBudget", "off", "", false, null, 0.2, [], new Map(), new Date(0)],
    ["replayBudget.ratio", -0.1, 1.01, NaN, Infinity, "0.2", null, true, {}],
    ["replayBudget.window", 0, ...infinite, ...negative],
    ["failureThreshold", ...noCount],
    ["fallbackAfter", ...noCount],
    ["circuit.failures", ...noCount],
    ["backoff.factor", 0, 0.99, -2, NaN, Infinity, "2", null, true, {}],
    ["circuit.openFor.factor", 0.99, NaN, Infinity, "2", null],
    ["connect", "Eager", "", true, null, 1, []],
    ["reattempt", "at once", "", true, null, 1, []],
    ["trustAnnotations", "true", 1, 0, null],
    ["required", "true", 1, 0, null],
    ["startDeadline", -1, "soon", NaN, null, true],
    ["spans", "true", 1, 0, null],
    ["cadence", "1 minute", 60_000, null, {}, { interval: 1 }],
    ["backoff", "1 minute", 1000, null, true, [], new Map(), new Date(0), () => 1],
    ["circuit", "off", "", false, null, 5, [], new Map(), new Date(0)],
    ["probe", "pings", "", "PING", null, 1, true, [], {}, { method: "list-tools" }, { method: "gaze" }, new Map()]
  ]

  it.each(rejected.map(([path, ...values]) => ({ path, values })))(
    "of $path exclude what is beyond them, each with its path and nothing else",
    ({ path, values }) => {
      values.forEach((value, index) => {
        assert.deepStrictEqual(paths(nested(path, value)), [`policy.${path}`], `value ${index}`)
      })
    }
  )

  const durations = [
    "interval",
    "timeout",
    "confirmInterval",
    "connectTimeout",
    "backoff.initial",
    "backoff.cap",
    "circuit.openFor.initial",
    "circuit.openFor.cap",
    "stableAfter",
    "waitForSession",
    "staleAfter",
    "inFlightGrace",
    "drainTimeout",
    "removalGrace",
    "startDeadline",
    "idleAfter",
    "maxLifetime",
    "replayBudget.window"
  ]

  it.each(durations)("of %s exclude what is no duration, rather than reading it as zero", (path) => {
    noDuration.forEach((value, index) => {
      assert.deepStrictEqual(paths(nested(path, value)), [`policy.${path}`], `value ${index}`)
    })
  })

  it("hold between fields, also where the other one comes from the default", () => {
    assert.deepStrictEqual(paths({ interval: "2 seconds", timeout: "2 seconds" }), ["policy.timeout"])
    assert.deepStrictEqual(paths({ interval: "2 seconds", timeout: "1999 millis" }), [])
    assert.deepStrictEqual(paths({ interval: "2 seconds", confirmInterval: "3 seconds" }), ["policy.confirmInterval"])
    assert.deepStrictEqual(paths({ backoff: { initial: "10 minutes", cap: "9 minutes" } }), ["policy.backoff.cap"])
    assert.deepStrictEqual(paths({ backoff: { initial: "10 minutes", cap: "10 minutes" } }), [])
  })

  it("of a tool probe name the tool and its arguments", () => {
    for (const tool of [undefined, null, "browser_tabs", {}, { name: "" }, { name: 1 }, { arguments: {} }]) {
      assert.deepStrictEqual(paths({ probe: { method: "tool", tool } }), ["policy.probe.tool.name"])
      assert.deepStrictEqual(paths({ probe: { method: "ping", tool } }), ["policy.probe.tool.name"])
    }
    assert.deepStrictEqual(paths({ probe: "tool" }), ["policy.probe.tool.name"])
    for (const wrong of ["none", 1, [], null, true]) {
      assert.deepStrictEqual(paths({ probe: { method: "tool", tool: { name: "a", arguments: wrong } } }), [
        "policy.probe.tool.arguments"
      ])
    }
    const tool = { name: "browser_tabs", arguments: { action: "list", nested: { deep: [1, null] } } }
    assert.deepStrictEqual(valid({ probe: { method: "tool", tool } }).probe, { method: "tool", tool })
    assert.deepStrictEqual(valid({ probe: { method: "ping", tool: { name: "a" } } }).probe, {
      method: "ping",
      tool: { name: "a" }
    })
  })

  it("of options are HTTP's", () => {
    assert.deepStrictEqual(paths({ probe: "options" }, stdio), ["policy.probe"])
    assert.strictEqual(valid({ probe: "options" }, http).probe, "options")
  })

  it("are said in the issue, so that one can correct it", () => {
    const expected = (options: Readonly<Record<string, unknown>>) => resolve(options).issues[0]?.expected
    assert.include(expected({ interval: 1 }), "1 second to 24 hours")
    assert.include(expected({ interval: "10 seconds", timeout: "1 minute" }), "shorter than the interval")
    assert.include(expected({ failureThreshold: 0 }), "at least 1")
    assert.include(expected({ backoff: { initial: "1 minute", cap: "1 second" } }), "initial")
    assert.include(expected({ probe: "gaze" }), "list-tools")
    assert.include(expected({ connect: "now" }), '"lazy"')
    assert.include(expected({ idleAfter: "sometimes" }), '"never"')
    assert.include(expected({ circuit: { openFor: "sometimes" } }), "Schedule")
    assert.include(expected({ intervall: 1 }), "interval")
  })
})

describe("unknown keys", () => {
  it("are mistakes, at every depth, with their path", () => {
    assert.deepStrictEqual(
      paths({
        intervall: "1 minute",
        backoff: { inital: 1 },
        circuit: { failure: 1, openFor: { initial: "1 minute", max: 1 } },
        probe: { method: "tool", name: "a", tool: { name: "a", args: {} } }
      }).toSorted(),
      [
        "policy.backoff.inital",
        "policy.circuit.failure",
        "policy.circuit.openFor.max",
        "policy.intervall",
        "policy.probe.name",
        "policy.probe.tool.args"
      ]
    )
  })

  it("keep their name whole, dots and all", () => {
    assert.deepStrictEqual(resolve({ "keepalive.interval": 1 }).issues[0]?.path, ["policy", "keepalive.interval"])
    assert.deepStrictEqual(resolve({ backoff: { "": 1 } }).issues[0]?.path, ["policy", "backoff", ""])
  })

  it("are found also where they are symbols", () => {
    assert.deepStrictEqual(paths({ backoff: { [Symbol("initial")]: 1 } }), ["policy.backoff.Symbol(initial)"])
    assert.deepStrictEqual(paths({ circuit: { openFor: { cap: "1 hour", [Symbol("cap")]: 1 } } }), [
      "policy.circuit.openFor.Symbol(cap)"
    ])
  })

  it("are found also where they are called like something that every object has", () => {
    assert.deepStrictEqual(paths({ toString: 1, constructor: 1 }), ["policy.toString", "policy.constructor"])
    const options: KeepalivePolicy.Options = JSON.parse('{ "__proto__": { "interval": 1 } }')
    assert.deepStrictEqual(
      KeepalivePolicy.resolve(KeepalivePolicy.overlay({}, options), http).issues.map((issue) => issue.path),
      [["policy", "__proto__"]]
    )
  })
})

describe("mistakes", () => {
  it("are reported all at once", () => {
    assert.deepStrictEqual(
      paths(
        {
          probe: "options",
          interval: 1,
          timeout: 0,
          confirmInterval: 0,
          failureThreshold: 0,
          fallbackAfter: 0,
          connectTimeout: 0,
          cadence: 1,
          backoff: { initial: 0, factor: 0, cap: 0 },
          circuit: { failures: 0, openFor: { initial: 0, factor: 0, cap: 0 } },
          stableAfter: -1,
          waitForSession: -1,
          staleAfter: -1,
          inFlightGrace: -1,
          drainTimeout: -1,
          removalGrace: -1,
          connect: 1,
          reattempt: 1,
          idleAfter: 0,
          maxLifetime: 0,
          maxConcurrent: 0,
          queue: -1,
          replayBudget: { ratio: 2, window: 0 },
          trustAnnotations: 1,
          required: 1,
          startDeadline: -1,
          spans: 1,
          nonsense: 1
        },
        stdio
      ).toSorted(),
      [
        "backoff.cap",
        "backoff.factor",
        "backoff.initial",
        "cadence",
        "circuit.failures",
        "circuit.openFor.cap",
        "circuit.openFor.factor",
        "circuit.openFor.initial",
        "confirmInterval",
        "connect",
        "connectTimeout",
        "drainTimeout",
        "failureThreshold",
        "fallbackAfter",
        "idleAfter",
        "inFlightGrace",
        "interval",
        "maxConcurrent",
        "maxLifetime",
        "nonsense",
        "probe",
        "reattempt",
        "removalGrace",
        "queue",
        "replayBudget.ratio",
        "replayBudget.window",
        "required",
        "spans",
        "staleAfter",
        "stableAfter",
        "startDeadline",
        "timeout",
        "trustAnnotations",
        "waitForSession"
      ]
        .map((path) => `policy.${path}`)
        .toSorted()
    )
  })

  const fieldNames = Object.keys(valid({}))
  const anyValue = fc.anything({
    maxDepth: 1,
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withNullPrototype: true,
    withSparseArray: true
  })
  const anyOptions = fc.dictionary(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...fieldNames) }, { weight: 1, arbitrary: fc.string() }),
    fc.oneof(
      anyValue,
      fc.dictionary(fc.constantFrom("initial", "factor", "cap", "failures", "openFor", "method", "tool"), anyValue)
    )
  )

  /** What every policy that was accepted keeps, whatever went in. */
  const assertSound = (policy: KeepalivePolicy.KeepalivePolicy) => {
    const between = (value: Duration.Duration, low: number, high: number) => {
      assert.isTrue(Duration.isDuration(value))
      assert.isAtLeast(Duration.toMillis(value), low)
      assert.isAtMost(Duration.toMillis(value), high)
    }
    const interval = Duration.toMillis(policy.interval)
    between(policy.interval, 1000, 86_400_000)
    between(policy.timeout, 1e-6, interval - 1e-6)
    between(policy.confirmInterval, 1e-6, interval)
    between(policy.connectTimeout, 1e-6, Number.MAX_VALUE)
    between(policy.stableAfter, 0, Number.MAX_VALUE)
    between(policy.removalGrace, 0, Number.MAX_VALUE)
    for (const name of ["waitForSession", "staleAfter", "inFlightGrace", "drainTimeout", "startDeadline"] as const) {
      between(policy[name], 0, Infinity)
    }
    if (policy.idleAfter !== "never") between(policy.idleAfter, 1e-6, Number.MAX_VALUE)
    const atLeastOne = (value: number) => assert.isTrue(Number.isInteger(value) && value >= 1)
    atLeastOne(policy.failureThreshold)
    atLeastOne(policy.fallbackAfter)
    for (const delay of [policy.backoff, ...(policy.circuit === "none" ? [] : [policy.circuit.openFor])]) {
      if (Schedule.isSchedule(delay)) continue
      between(delay.initial, 1e-6, Number.MAX_VALUE)
      between(delay.cap, Duration.toMillis(delay.initial), Number.MAX_VALUE)
      assert.isAtLeast(delay.factor, 1)
      assert.isTrue(Number.isFinite(delay.factor))
    }
    if (policy.circuit !== "none") atLeastOne(policy.circuit.failures)
    if (policy.maxLifetime !== "never") between(policy.maxLifetime, 1e-6, Number.MAX_VALUE)
    if (policy.maxConcurrent !== "none") atLeastOne(policy.maxConcurrent)
    assert.isTrue(Number.isInteger(policy.queue) && policy.queue >= 0)
    if (policy.replayBudget !== "none") {
      between(policy.replayBudget.window, 1e-6, Number.MAX_VALUE)
      assert.isTrue(policy.replayBudget.ratio >= 0 && policy.replayBudget.ratio <= 1)
    }
    assert.include(["eager", "lazy"], policy.connect)
    assert.isBoolean(policy.trustAnnotations)
  }

  it("of any kind never make it throw: it says what is wrong, or the policy is sound", () => {
    fc.assert(
      fc.property(anyOptions, fc.boolean(), (options, isHttp) => {
        const { issues, policy } = resolve(options, isHttp ? http : stdio)
        assert.deepStrictEqual(Object.keys(policy), fieldNames)
        if (issues.length === 0) assertSound(policy)
        for (const issue of issues) {
          assert.strictEqual(issue.path[0], "policy")
          assert.isAtLeast(issue.path.length, 2)
          assert.isNotEmpty(issue.expected)
        }
      }),
      { numRuns: 500 }
    )
  })

  it("of any kind survive being laid over another policy", () => {
    fc.assert(
      fc.property(anyOptions, anyOptions, (under, over) => {
        resolve({ ...KeepalivePolicy.overlay({ ...under }, { ...over }) })
      }),
      { numRuns: 300 }
    )
  })

  it("are never repeated: no value of the input is in an issue, for it may be a secret", () => {
    const positions = [
      ...fieldNames,
      "backoff.initial",
      "backoff.factor",
      "backoff.cap",
      "circuit.failures",
      "circuit.openFor",
      "circuit.openFor.initial",
      "circuit.openFor.factor",
      "circuit.openFor.cap",
      "probe.method",
      "probe.tool",
      "probe.tool.name",
      "probe.tool.arguments",
      "nonsense",
      "nonsense.deeper"
    ]
    const marker = fc.stringMatching(/^[A-Za-z0-9]{12,20}$/)
    const wrap = fc.constantFrom<(secret: string) => unknown>(
      (secret) => secret,
      (secret) => [secret],
      (secret) => `${secret} seconds`,
      (secret) => `30 ${secret}`,
      (secret) => ({ seconds: secret }),
      (secret) => ({ name: secret, arguments: secret }),
      (secret) => new Error(secret),
      (secret) => Symbol(secret),
      (secret) => () => secret,
      (secret) => ({ toString: () => secret, toJSON: () => secret })
    )
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom(...positions), { minLength: 1 }),
        marker,
        wrap,
        (planted, secret, wrapped) => {
          let options: KeepalivePolicy.Options = {}
          for (const path of planted) options = KeepalivePolicy.overlay(options, { ...nested(path, wrapped(secret)) })
          const { issues } = resolve({ ...options })
          assert.isFalse(JSON.stringify(issues).includes(secret), JSON.stringify(issues))
        }
      ),
      { numRuns: 1_000 }
    )
  })

  it("aside, what one writes is what one gets", () => {
    const millis = (min: number, max: number) => fc.integer({ min, max })
    const exponential = fc
      .record({
        initial: millis(1, 60_000),
        factor: fc.double({ min: 1, max: 10, noNaN: true }),
        more: millis(0, 60_000)
      })
      .map(({ factor, initial, more }) => ({ initial, factor, cap: initial + more }))
    const decided = ({ cap, factor, initial }: { initial: number; factor: number; cap: number }) => ({
      initial: Duration.millis(initial),
      factor,
      cap: Duration.millis(cap)
    })
    fc.assert(
      fc.property(
        millis(10_000, 86_400_000),
        millis(1, 9_999),
        fc.integer({ min: 1, max: 100 }),
        exponential,
        exponential,
        fc.constantFrom("eager", "lazy"),
        fc.boolean(),
        (interval, short, count, backoff, openFor, connect, trustAnnotations) => {
          const policy = valid({
            interval,
            timeout: short,
            confirmInterval: short,
            failureThreshold: count,
            fallbackAfter: count,
            backoff,
            circuit: { failures: count, openFor },
            stableAfter: short,
            idleAfter: short,
            connect,
            trustAnnotations
          })
          assert.deepStrictEqual(policy, {
            ...valid({}),
            interval: Duration.millis(interval),
            timeout: Duration.millis(short),
            confirmInterval: Duration.millis(short),
            failureThreshold: count,
            fallbackAfter: count,
            backoff: decided(backoff),
            circuit: { failures: count, openFor: decided(openFor) },
            stableAfter: Duration.millis(short),
            idleAfter: Duration.millis(short),
            connect: connect === "lazy" ? "lazy" : "eager",
            trustAnnotations
          })
        }
      )
    )
  })
})

describe("a policy laid over another", () => {
  it("merges nested objects and leaves alone what it does not name", () => {
    assert.deepStrictEqual(
      KeepalivePolicy.overlay(
        {
          interval: "1 minute",
          connect: "lazy",
          backoff: { initial: "2 seconds", cap: "1 minute" },
          circuit: { failures: 7, openFor: { initial: "1 minute", factor: 3 } }
        },
        { interval: "2 minutes", backoff: { cap: "2 minutes" }, circuit: { openFor: { factor: 4 } } }
      ),
      {
        interval: "2 minutes",
        connect: "lazy",
        backoff: { initial: "2 seconds", cap: "2 minutes" },
        circuit: { failures: 7, openFor: { initial: "1 minute", factor: 4 } }
      }
    )
  })

  it("replaces Schedules, and what stands where a Schedule is laid", () => {
    const one = Schedule.spaced("1 second")
    const other = Schedule.spaced("2 seconds")
    const { overlay } = KeepalivePolicy
    assert.strictEqual(overlay({ cadence: one }, { cadence: other }).cadence, other)
    assert.strictEqual(overlay({ backoff: one }, { backoff: other }).backoff, other)
    assert.strictEqual(overlay({ backoff: { initial: 1 } }, { backoff: other }).backoff, other)
    assert.deepStrictEqual(overlay({ backoff: one }, { backoff: { initial: 1 } }).backoff, { initial: 1 })
    assert.deepStrictEqual(
      overlay({ circuit: { failures: 2, openFor: one } }, { circuit: { openFor: other } }).circuit,
      {
        failures: 2,
        openFor: other
      }
    )
  })

  it("replaces a probe as a whole", () => {
    const tool = { method: "tool", tool: { name: "a", arguments: { x: 1 } } } as const
    const ping = { method: "ping", tool: { name: "b" } } as const
    assert.deepStrictEqual(KeepalivePolicy.overlay({ probe: tool }, { probe: ping }).probe, ping)
    assert.strictEqual(KeepalivePolicy.overlay({ probe: tool }, { probe: "list-tools" }).probe, "list-tools")
  })

  it("turns the circuit off, and on again", () => {
    assert.strictEqual(KeepalivePolicy.overlay({ circuit: { failures: 2 } }, { circuit: "none" }).circuit, "none")
    assert.deepStrictEqual(KeepalivePolicy.overlay({ circuit: "none" }, { circuit: { failures: 2 } }).circuit, {
      failures: 2
    })
  })

  it("replaces a duration, however it is written, and never adds two of them up", () => {
    const interval = (under: Duration.Input, over: Duration.Input) =>
      Duration.toSeconds(valid({ ...KeepalivePolicy.overlay({ interval: under }, { interval: over }) }).interval)
    assert.strictEqual(interval({ minutes: 5 }, { seconds: 30 }), 30)
    assert.strictEqual(interval([300, 0], [30, 0]), 30)
    assert.strictEqual(interval(Duration.minutes(5), { seconds: 30 }), 30)
    assert.strictEqual(interval({ minutes: 5 }, Duration.seconds(30)), 30)
    const openFor = (
      under: NonNullable<Exclude<KeepalivePolicy.Options["circuit"], "none">>["openFor"],
      over: NonNullable<Exclude<KeepalivePolicy.Options["circuit"], "none">>["openFor"]
    ) => {
      const { circuit } = valid({
        ...KeepalivePolicy.overlay(
          { circuit: { ...(under === undefined ? {} : { openFor: under }) } },
          { circuit: { ...(over === undefined ? {} : { openFor: over }) } }
        )
      })
      return circuit === "none" ? circuit : circuit.openFor
    }
    const fixed = { initial: Duration.minutes(30), factor: 1, cap: Duration.minutes(30) }
    assert.deepStrictEqual(openFor({ initial: "1 minute", factor: 3 }, { minutes: 30 }), fixed)
    assert.deepStrictEqual(openFor({ hours: 1 }, { minutes: 30 }), fixed)
    assert.deepStrictEqual(openFor({ minutes: 30 }, { initial: "1 minute" }), {
      initial: Duration.minutes(1),
      factor: 2,
      cap: Duration.minutes(5)
    })
  })

  it("changes neither of the two, and a field that is undefined changes nothing", () => {
    const under = Object.freeze({ interval: 1, backoff: Object.freeze({ initial: 1 }) })
    const over = Object.freeze({ timeout: 2, backoff: Object.freeze({ cap: 2 }) })
    assert.deepStrictEqual(KeepalivePolicy.overlay(under, over), {
      interval: 1,
      timeout: 2,
      backoff: { initial: 1, cap: 2 }
    })
    const nothing = { interval: undefined, backoff: { initial: undefined } }
    assert.deepStrictEqual(KeepalivePolicy.overlay(under, { ...JSON.parse("{}"), ...nothing }), under)
    assert.deepStrictEqual(KeepalivePolicy.overlay(under, {}), under)
    assert.deepStrictEqual(KeepalivePolicy.overlay({}, over), over)
  })
})

describe("the policy of the context", () => {
  const outer = KeepalivePolicy.layer({
    connect: "lazy",
    circuit: { failures: 3, openFor: "7 seconds" },
    backoff: Schedule.spaced("2 seconds")
  })
  const inner = KeepalivePolicy.layer({ connect: "eager", circuit: { failures: 2 } })

  /** When a backend of a server that refuses attempts to connect, in seconds; its own policy is laid over the context's. */
  const attempts = (policy: KeepalivePolicy.Options, within: number) =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.unreachable("refused")
      yield* Backend.make({ id: "scripted", connector: server.connector, policy })
      const at: Array<number> = server.counts.attempts === 0 ? [] : [0]
      for (let second = 1; second <= within; second++) {
        yield* TestClock.adjust("1 second")
        if (server.counts.attempts > at.length) at.push(second)
      }
      return at
    })

  it.effect("is empty by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* KeepalivePolicy.Current, {})
      assert.deepStrictEqual(yield* attempts({ backoff: Schedule.spaced("2 seconds") }, 40), [0, 2, 4, 6, 8, 38])
    })
  )

  it.effect("governs every backend that is made with the layer", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* attempts({}, 30), [])
    }).pipe(Effect.provide(outer))
  )

  it.effect("is what an inner layer makes of the outer one", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* attempts({}, 20), [0, 2, 9, 16])
    }).pipe(Effect.provide(inner.pipe(Layer.provide(outer))))
  )

  it.effect("is what an inner layer makes of the outer one, also where each is provided on its own", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* attempts({}, 20), [0, 2, 9, 16])
    }).pipe(Effect.provide(inner), Effect.provide(outer))
  )

  it.effect("lies under a backend's own policy", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* attempts({ circuit: { failures: 1 } }, 20), [0, 7, 14])
      assert.deepStrictEqual(yield* attempts({ circuit: "none" }, 9), [0, 2, 4, 6, 8])
    }).pipe(Effect.provide(inner), Effect.provide(outer))
  )

  it.effect("is checked with it: what is wrong in the context is said when a backend is made", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const error = yield* Effect.flip(
        Backend.make({ id: "scripted", connector: server.connector, policy: { timeout: "9 seconds" } })
      )
      assert.deepStrictEqual(
        error.issues.map((issue) => issue.path.join(".")),
        ["policy.timeout", "policy.failureThreshold"]
      )
      assert.strictEqual(server.counts.attempts, 0)
    }).pipe(Effect.provide(KeepalivePolicy.layer({ interval: "9 seconds", failureThreshold: 0 })))
  )
})

describe("the presets", () => {
  const delays = (schedule: KeepalivePolicy.OwnSchedule, count: number, seed: number) =>
    Effect.runSync(
      Effect.gen(function* () {
        const step = yield* Schedule.toStep(schedule)
        const found: Array<number> = []
        for (let index = 0; index < count; index++) {
          found.push(Duration.toSeconds(yield* Delays.delayOf(step(0, undefined))))
        }
        return found
      }).pipe(Random.withSeed(seed))
    )

  it("interactive: probes every 30 s; a first attempt within 2 s drawn at random, then up to 15 s", () => {
    const policy = valid({ ...KeepalivePolicy.interactive })
    assert.deepStrictEqual(policy.interval, Duration.seconds(30))
    assert.deepStrictEqual(
      { ...policy, interval: undefined, backoff: undefined, circuit: undefined },
      {
        ...valid({}),
        reattempt: "backoff",
        interval: undefined,
        backoff: undefined,
        circuit: undefined
      }
    )
    const { backoff, openFor } = Delays.ofPolicy(policy)
    assert.isTrue(policy.circuit !== "none" && policy.circuit.failures === 5)
    for (const delay of delays(openFor, 30, 1)) {
      assert.isAtLeast(delay, 8)
      assert.isAtMost(delay, 12)
    }
    const firsts: Array<number> = []
    for (let seed = 0; seed < 200; seed++) {
      const [first, ...later] = delays(backoff, 30, seed)
      firsts.push(first ?? -1)
      for (const delay of later) {
        assert.isAtMost(delay, 15)
        assert.isAtLeast(delay, 1.6)
      }
      for (const delay of later.slice(4)) assert.isAtLeast(delay, 12)
    }
    assert.isAtLeast(Math.min(...firsts), 0)
    assert.isBelow(Math.min(...firsts), 0.1)
    assert.isAbove(Math.max(...firsts), 1.9)
    assert.isAtMost(Math.max(...firsts), 2)
  })

  it("vmcp: the first seed's numbers: 300 s, 3 failures, and any failed reconnection rests for 30 minutes", () => {
    const policy = valid({ ...KeepalivePolicy.vmcp })
    assert.deepStrictEqual(policy, {
      ...valid({}),
      interval: Duration.seconds(300),
      failureThreshold: 3,
      circuit: {
        failures: 1,
        openFor: { initial: Duration.minutes(30), factor: 1, cap: Duration.minutes(30) }
      }
    })
    assert.deepStrictEqual(delays(Delays.ofPolicy(policy).openFor, 3, 0), [1800, 1800, 1800])
  })

  it("cli: the second seed's numbers: ±10 %, backoff 1 to 300 s, no circuit", () => {
    const policy = valid({ ...KeepalivePolicy.cli })
    assert.deepStrictEqual(policy, {
      ...valid({}),
      interval: Duration.seconds(300),
      backoff: { initial: Duration.seconds(1), factor: 2, cap: Duration.seconds(300) },
      circuit: "none"
    })
    for (const delay of delays(Delays.ofPolicy(policy).cadence, 100, 0).slice(1)) {
      assert.isAtLeast(delay, 270)
      assert.isAtMost(delay, 330)
    }
    const backoff = delays(Delays.ofPolicy(policy).backoff, 100, 0)
    assert.isAtLeast(backoff[0] ?? -1, 0.8)
    assert.isAtMost(backoff[0] ?? -1, 1.2)
    assert.strictEqual(Math.max(...backoff), 300)
  })

  it("can be laid over and under one's own policy", () => {
    const policy = valid({ ...KeepalivePolicy.overlay(KeepalivePolicy.vmcp, { circuit: { failures: 2 } }) })
    assert.strictEqual(at(policy, "circuit.failures"), 2)
    assert.deepStrictEqual(at(policy, "circuit.openFor.cap"), Duration.minutes(30))
    assert.strictEqual(valid({ ...KeepalivePolicy.overlay(KeepalivePolicy.vmcp, KeepalivePolicy.cli) }).circuit, "none")
  })

  it("fit every transport", () => {
    for (const preset of [KeepalivePolicy.interactive, KeepalivePolicy.vmcp, KeepalivePolicy.cli]) {
      assert.deepStrictEqual(paths({ ...preset }, stdio), [])
    }
  })
})
