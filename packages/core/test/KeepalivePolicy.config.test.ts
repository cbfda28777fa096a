/** A policy from the environment and from files, and who shares one. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Layer, Schedule, Schema } from "effect"
import { Backend, KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const http = { connectTimeout: "30 seconds", supportsOptions: true } as const
const stdio = { connectTimeout: "120 seconds", supportsOptions: false } as const

type Env = Readonly<Record<string, string>>

const read = (env: Env, config = KeepalivePolicy.config()) =>
  config.parse(ConfigProvider.fromEnv({ env: { PATH: "/usr/bin", ...env } }))
const policyOf = (env: Env) =>
  Effect.map(read(env), (options) => {
    const { issues, policy } = KeepalivePolicy.resolve(options, http)
    assert.deepStrictEqual(issues, [])
    return policy
  })
const mistakes = (env: Env, config?: Config.Config<KeepalivePolicy.Options>) =>
  Effect.map(Effect.flip(read(env, config)), (error) => {
    assert.notInclude(JSON.stringify(error) + String(error), "secret")
    return error.cause.message.split("\n")
  })

describe("a policy from the environment", () => {
  it.effect("is empty where there is nothing of it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read({}), {})
      assert.deepStrictEqual(yield* read({ KEEPALIVE_INTERVAL: "", KEEPALIVES: "1", KEEP_ALIVE: "1" }), {})
    })
  )

  it.effect("has a variable for every setting but Schedules, called like its path", () =>
    Effect.gen(function* () {
      const policy = yield* policyOf({
        KEEPALIVE_PROBE: "list-tools",
        KEEPALIVE_INTERVAL: "20 seconds",
        KEEPALIVE_TIMEOUT: "1 second",
        KEEPALIVE_CONFIRM_INTERVAL: "2 seconds",
        KEEPALIVE_FAILURE_THRESHOLD: "7",
        KEEPALIVE_FALLBACK_AFTER: "8",
        KEEPALIVE_CONNECT_TIMEOUT: "3 seconds",
        KEEPALIVE_STABLE_AFTER: "4 seconds",
        KEEPALIVE_WAIT_FOR_SESSION: "5 seconds",
        KEEPALIVE_STALE_AFTER: "6 seconds",
        KEEPALIVE_IN_FLIGHT_GRACE: "7 seconds",
        KEEPALIVE_DRAIN_TIMEOUT: "8 seconds",
        KEEPALIVE_REMOVAL_GRACE: "14 seconds",
        KEEPALIVE_CONNECT: "lazy",
        KEEPALIVE_REATTEMPT: "backoff",
        KEEPALIVE_IDLE_AFTER: "9 seconds",
        KEEPALIVE_MAX_LIFETIME: "15 seconds",
        KEEPALIVE_MAX_CONCURRENT: "10",
        KEEPALIVE_QUEUE: "11",
        KEEPALIVE_REPLAY_BUDGET_RATIO: "0.5",
        KEEPALIVE_REPLAY_BUDGET_WINDOW: "16 seconds",
        KEEPALIVE_TRUST_ANNOTATIONS: "true",
        KEEPALIVE_REQUIRED: "true",
        KEEPALIVE_START_DEADLINE: "14 seconds",
        KEEPALIVE_SPANS: "true",
        KEEPALIVE_BACKOFF_INITIAL: "10 seconds",
        KEEPALIVE_BACKOFF_FACTOR: "1.5",
        KEEPALIVE_BACKOFF_CAP: "11 seconds",
        KEEPALIVE_CIRCUIT_FAILURES: "9",
        KEEPALIVE_CIRCUIT_OPEN_FOR_INITIAL: "12 seconds",
        KEEPALIVE_CIRCUIT_OPEN_FOR_FACTOR: "3",
        KEEPALIVE_CIRCUIT_OPEN_FOR_CAP: "13 seconds"
      })
      assert.deepStrictEqual(policy, {
        probe: "list-tools",
        interval: Duration.seconds(20),
        timeout: Duration.seconds(1),
        confirmInterval: Duration.seconds(2),
        failureThreshold: 7,
        fallbackAfter: 8,
        connectTimeout: Duration.seconds(3),
        cadence: undefined,
        backoff: { initial: Duration.seconds(10), factor: 1.5, cap: Duration.seconds(11) },
        circuit: {
          failures: 9,
          openFor: { initial: Duration.seconds(12), factor: 3, cap: Duration.seconds(13) }
        },
        stableAfter: Duration.seconds(4),
        waitForSession: Duration.seconds(5),
        staleAfter: Duration.seconds(6),
        inFlightGrace: Duration.seconds(7),
        drainTimeout: Duration.seconds(8),
        removalGrace: Duration.seconds(14),
        connect: "lazy",
        reattempt: "backoff",
        idleAfter: Duration.seconds(9),
        maxLifetime: Duration.seconds(15),
        maxConcurrent: 10,
        queue: 11,
        replayBudget: { ratio: 0.5, window: Duration.seconds(16) },
        trustAnnotations: true,
        required: true,
        startDeadline: Duration.seconds(14),
        spans: true
      })
    })
  )

  it.effect("may turn the circuit off, name how long it opens, and name a tool", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* policyOf({ KEEPALIVE_CIRCUIT: "none" })).circuit, "none")
      assert.strictEqual((yield* policyOf({ KEEPALIVE_IDLE_AFTER: "never" })).idleAfter, "never")
      assert.strictEqual((yield* policyOf({ KEEPALIVE_MAX_LIFETIME: "never" })).maxLifetime, "never")
      assert.strictEqual((yield* policyOf({ KEEPALIVE_MAX_CONCURRENT: "none" })).maxConcurrent, "none")
      assert.strictEqual((yield* policyOf({ KEEPALIVE_REPLAY_BUDGET: "none" })).replayBudget, "none")
      assert.deepStrictEqual((yield* policyOf({ KEEPALIVE_CIRCUIT_OPEN_FOR: "2 minutes" })).circuit, {
        failures: 5,
        openFor: { initial: Duration.minutes(2), factor: 1, cap: Duration.minutes(2) }
      })
      const tool = { KEEPALIVE_PROBE: "tool", KEEPALIVE_PROBE_TOOL_NAME: "browser_tabs" }
      assert.deepStrictEqual((yield* policyOf(tool)).probe, { method: "tool", tool: { name: "browser_tabs" } })
      const args = { KEEPALIVE_PROBE_TOOL_ARGUMENTS: '{"action":"list"}' }
      assert.deepStrictEqual((yield* policyOf({ ...tool, ...args, KEEPALIVE_PROBE: "ping" })).probe, {
        method: "ping",
        tool: { name: "browser_tabs", arguments: { action: "list" } }
      })
    })
  )

  it.effect("names every mistake at once by its variable, with what is expected and never with its value", () =>
    Effect.gen(function* () {
      const found = yield* mistakes({
        KEEPALIVE_PROBE: "sk-secret-1",
        KEEPALIVE_INTERVAL: "sk-secret-2",
        KEEPALIVE_TIMEOUT: "-1 seconds",
        KEEPALIVE_FAILURE_THRESHOLD: "sk-secret-3",
        KEEPALIVE_FALLBACK_AFTER: "0",
        KEEPALIVE_SPANS: "sk-secret-4",
        KEEPALIVE_BACKOFF_FACTOR: "0.5",
        KEEPALIVE_CIRCUIT_OPEN_FOR_CAP: "sk-secret-5",
        KEEPALIVE_CONNECT: "sk-secret-6",
        KEEPALIVE_IDLE_AFTER: "sk-secret-7"
      })
      assert.deepStrictEqual(found, [
        "Expected a duration of 1 second to 24 hours, such as 30 seconds",
        '  at ["KEEPALIVE_INTERVAL"]',
        'Expected one of auto, ping, list-tools, discover, options, none, or { method: "tool" | "ping", tool: { name, arguments? } }',
        '  at ["KEEPALIVE_PROBE"]',
        "Expected a duration above zero and shorter than the interval, such as 30 seconds",
        '  at ["KEEPALIVE_TIMEOUT"]',
        "Expected a whole number of at least 1",
        '  at ["KEEPALIVE_FAILURE_THRESHOLD"]',
        "Expected a whole number of at least 1",
        '  at ["KEEPALIVE_FALLBACK_AFTER"]',
        'Expected one of "eager", "lazy"',
        '  at ["KEEPALIVE_CONNECT"]',
        'Expected a duration above zero, or "never", such as 30 seconds',
        '  at ["KEEPALIVE_IDLE_AFTER"]',
        "Expected one of true, false",
        '  at ["KEEPALIVE_SPANS"]',
        "Expected a number of at least 1",
        '  at ["KEEPALIVE_BACKOFF_FACTOR"]',
        "Expected a duration above zero, of at least initial, such as 30 seconds",
        '  at ["KEEPALIVE_CIRCUIT_OPEN_FOR_CAP"]'
      ])
    })
  )

  const wrong: ReadonlyArray<readonly [what: string, env: Env, at: ReadonlyArray<string>]> = [
    [
      "a rule between variables, beside a broken one",
      { KEEPALIVE_INTERVAL: "10 seconds", KEEPALIVE_TIMEOUT: "11 seconds", KEEPALIVE_CONNECT: "secret" },
      ["KEEPALIVE_TIMEOUT", "KEEPALIVE_CONNECT"]
    ],
    ["a number without its unit", { KEEPALIVE_INTERVAL: "30" }, ["KEEPALIVE_INTERVAL"]],
    ["a tool as probe that is not named", { KEEPALIVE_PROBE: "tool" }, ["KEEPALIVE_PROBE_TOOL_NAME"]],
    ["a tool without a probe that asks it", { KEEPALIVE_PROBE_TOOL_NAME: "tabs" }, ["KEEPALIVE_PROBE"]],
    [
      "arguments that are no object",
      { KEEPALIVE_PROBE: "tool", KEEPALIVE_PROBE_TOOL_NAME: "tabs", KEEPALIVE_PROBE_TOOL_ARGUMENTS: "{secret" },
      ["KEEPALIVE_PROBE_TOOL_ARGUMENTS"]
    ],
    [
      "no circuit, and how it behaves",
      { KEEPALIVE_CIRCUIT: "none", KEEPALIVE_CIRCUIT_FAILURES: "2" },
      ["KEEPALIVE_CIRCUIT"]
    ],
    [
      "one duration, and a part of several",
      { KEEPALIVE_CIRCUIT_OPEN_FOR: "1 minute", KEEPALIVE_CIRCUIT_OPEN_FOR_CAP: "1 minute" },
      ["KEEPALIVE_CIRCUIT_OPEN_FOR"]
    ],
    [
      "names that are no settings",
      { KEEPALIVE_INTERVALL: "1 minute", KEEPALIVE_CIRCUIT_OPEN_FOR_MAX: "1 hour", KEEPALIVE_CADENCE: "1 hour" },
      ["KEEPALIVE_CADENCE", "KEEPALIVE_CIRCUIT_OPEN_FOR_MAX", "KEEPALIVE_INTERVALL"]
    ]
  ]
  for (const [what, env, names] of wrong) {
    it.effect(`does not pass over ${what}`, () =>
      Effect.gen(function* () {
        const found = (yield* mistakes(env)).filter((line) => line.startsWith("  at "))
        assert.deepStrictEqual(found.toSorted(), names.map((name) => `  at ["${name}"]`).toSorted())
      })
    )
  }

  it.effect("can have a prefix of its own, also one of several words", () =>
    Effect.gen(function* () {
      const config = KeepalivePolicy.config("MY_APP")
      assert.deepStrictEqual(yield* read({ MY_APP_FAILURE_THRESHOLD: "2", KEEPALIVE_NONSENSE: "1" }, config), {
        failureThreshold: 2
      })
      assert.deepStrictEqual(
        yield* mistakes({ MY_APP_FAILURES: "2" }, config).pipe(Effect.map((lines) => lines[1])),
        '  at ["MY_APP_FAILURES"]'
      )
    })
  )

  const connected = Effect.gen(function* () {
    const server = ScriptedServer.make()
    const backend = yield* Backend.make({ id: "scripted", connector: server.connector })
    return (yield* backend.state)._tag
  })
  const from = (env: Env) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

  it.effect("is laid over the policy of the context, for every backend that is made with the layer", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* connected, "Idle")
      assert.deepStrictEqual(yield* KeepalivePolicy.Current, { failureThreshold: 2, connect: "lazy" })
    }).pipe(
      Effect.provide(
        KeepalivePolicy.layerConfig().pipe(
          Layer.provide(KeepalivePolicy.layer({ connect: "eager", failureThreshold: 2 })),
          Layer.provide(from({ KEEPALIVE_CONNECT: "lazy" }))
        )
      )
    )
  )

  it.effect("may be read from variables of one's own, and fails before anything is made", () =>
    Effect.gen(function* () {
      const own = KeepalivePolicy.layerConfig(Config.all({ interval: Config.Duration("PING_EVERY") }))
      const interval = Effect.map(KeepalivePolicy.Current, (options) => options.interval)
      const read = (env: Env) => Effect.provide(interval, Layer.provide(own, from(env)))
      assert.deepStrictEqual(yield* read({ PING_EVERY: "7 seconds" }), Duration.seconds(7))
      assert.include((yield* Effect.flip(read({ PING_EVERY: "often" }))).message, "PING_EVERY")
    })
  )
})

describe("options in a file", () => {
  const decode = Schema.decodeUnknownEffect(KeepalivePolicy.FileOptions, {
    errors: "all",
    onExcessProperty: "error"
  })
  const file = {
    interval: "30 seconds",
    timeout: 5000,
    idleAfter: "never",
    probe: { method: "tool", tool: { name: "tabs", arguments: { deep: [1] } } },
    backoff: { initial: "1 second" },
    circuit: { failures: 2, openFor: "Infinity" }
  }

  it.effect("are options as code writes them", () =>
    Effect.gen(function* () {
      const options: KeepalivePolicy.Options = yield* decode({ ...file, circuit: { openFor: "1 minute" } })
      assert.deepStrictEqual(options, {
        interval: Duration.seconds(30),
        timeout: Duration.seconds(5),
        idleAfter: "never",
        probe: { method: "tool", tool: { name: "tabs", arguments: { deep: [1] } } },
        backoff: { initial: Duration.seconds(1) },
        circuit: { openFor: Duration.minutes(1) }
      })
      const written = yield* Schema.encodeEffect(KeepalivePolicy.FileOptions)(
        yield* decode({ interval: "30 seconds", waitForSession: "Infinity" })
      )
      assert.deepStrictEqual(yield* decode(JSON.parse(JSON.stringify(written))), {
        interval: Duration.seconds(30),
        waitForSession: Duration.infinity
      })
    })
  )

  it.effect("have the bounds of options, and no rule with what may be laid over them", () =>
    Effect.gen(function* () {
      assert.include((yield* Effect.flip(decode(file))).message, "openFor")
      assert.include((yield* Effect.flip(decode({ intervall: 1 }))).message, "intervall")
      assert.include((yield* Effect.flip(decode({ interval: 20_000, timeout: "20 seconds" }))).message, "shorter")
      // longer than the interval by default
      assert.deepStrictEqual(yield* decode({ timeout: "10 minutes" }), { timeout: Duration.minutes(10) })
    })
  )

  it("have a JSON Schema for editors", () => {
    const { schema } = Schema.toJsonSchemaDocument(KeepalivePolicy.FileOptions, {})
    const text = JSON.stringify(schema)
    assert.include(text, '"failureThreshold":{"type":"integer","minimum":1')
    assert.include(text, '"interval":{"anyOf":[{"type":"string","pattern":')
    for (const foreign of ['"cadence"', '"null"']) assert.notInclude(text, foreign)
  })
})

describe("one policy", () => {
  const inherited: KeepalivePolicy.Options = { interval: "30 seconds" }
  const own: KeepalivePolicy.Options = { circuit: { failures: 2 }, backoff: Schedule.spaced("1 second") }
  const resolve = (
    under: KeepalivePolicy.Options,
    over: KeepalivePolicy.Options,
    connector: KeepalivePolicy.Transport = http
  ) => KeepalivePolicy.resolve(KeepalivePolicy.overlay(under, over), connector)

  it("is shared by all who have the same options over the same inherited ones", () => {
    assert.strictEqual(resolve(inherited, own), resolve(inherited, own))
    assert.strictEqual(resolve(inherited, own), resolve(inherited, own, { ...http }))
    assert.strictEqual(resolve(inherited, { interval: 1 }).issues, resolve(inherited, { interval: 1 }).issues)
  })

  it("is shared by those whose options only say the same", () => {
    const options = () =>
      ({
        interval: "30 seconds",
        timeout: Duration.seconds(3),
        circuit: { failures: 2, openFor: { minutes: 1 } }
      }) as const
    assert.strictEqual(KeepalivePolicy.resolve(options(), http), KeepalivePolicy.resolve(options(), http))
  })

  it("is not shared by those whose options, context or transport differ", () => {
    const pairs: ReadonlyArray<readonly [KeepalivePolicy.Options, KeepalivePolicy.Options]> = [
      [{ interval: 30_000 }, { interval: "30 seconds" }],
      [{ interval: "31 seconds" }, { interval: "30 seconds" }],
      [{ backoff: Schedule.spaced("1 second") }, { backoff: Schedule.spaced("1 second") }],
      [{ backoff: { cap: 400_000 } }, { circuit: { openFor: { cap: 400_000 } } }],
      [{ stableAfter: 1 }, { stableAfter: 1n }]
    ]
    for (const [one, other] of pairs) {
      assert.notStrictEqual(KeepalivePolicy.resolve(one, http), KeepalivePolicy.resolve(other, http))
    }
    assert.notStrictEqual(resolve(inherited, own), resolve({}, own))
    assert.strictEqual(Duration.toSeconds(resolve(inherited, own, stdio).policy.connectTimeout), 120)
    assert.strictEqual(Duration.toSeconds(resolve(inherited, own, http).policy.connectTimeout), 30)
    assert.lengthOf(resolve({}, { probe: "options" }, http).issues, 0)
    assert.lengthOf(resolve({}, { probe: "options" }, stdio).issues, 1)
  })

  it("stays right where an app makes up thousands of them", () => {
    for (let count = 1; count <= 3000; count++) {
      const options = { failureThreshold: count }
      assert.strictEqual(KeepalivePolicy.resolve(options, http).policy.failureThreshold, count)
      assert.strictEqual(KeepalivePolicy.resolve(options, http), KeepalivePolicy.resolve(options, http))
    }
  })
})
