/** What is exported where the environment says so. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { KeepaliveMetrics } from "../src/index.ts"
import * as OtlpConfig from "../src/internal/otlpConfig.ts"
import * as Collector from "./collector.ts"
import * as On from "./support.ts"

type Environment = Readonly<Record<string, string>>

const within = (env: Environment) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { ...env } }))

/** What it comes to, as plain data. */
const parsed = (env: Environment) =>
  Effect.map(OtlpConfig.read, ({ isOn, issues, settings }) => ({
    isOn,
    issues: issues.flat().map(({ path }) => path.join(".")),
    ...settings,
    headers: Object.fromEntries(
      Object.entries(settings.headers ?? {}).map(([name, value]) => [
        name,
        Redacted.isRedacted(value) ? Redacted.value(value) : `not redacted: ${value}`
      ])
    )
  })).pipe(within(env))

const metrics = "OTEL_EXPORTER_OTLP_METRICS_"
const all = "OTEL_EXPORTER_OTLP_"

describe("the variables of the OpenTelemetry specification", () => {
  it.effect("where none is set, a collector on this machine gets everything", () =>
    Effect.gen(function* () {
      const { headers, isOn, issues, url } = yield* parsed({ OTEL_METRICS_EXPORTER: "", [`${all}ENDPOINT`]: " " })
      assert.deepStrictEqual(
        { headers, isOn, issues, url },
        { headers: {}, isOn: true, issues: [], url: "http://localhost:4318/v1/metrics" }
      )
    })
  )

  it.effect.each([
    [{ [`${all}ENDPOINT`]: "https://collector:4318" }, "https://collector:4318/v1/metrics"],
    [{ [`${all}ENDPOINT`]: "https://collector/otlp/" }, "https://collector/otlp/v1/metrics"],
    [{ [`${all}ENDPOINT`]: "https://collector/otlp?key=1" }, "https://collector/otlp/v1/metrics?key=1"],
    [{ [`${metrics}ENDPOINT`]: "https://collector/m" }, "https://collector/m"],
    [{ [`${metrics}ENDPOINT`]: "https://a/m", [`${all}ENDPOINT`]: "https://b" }, "https://a/m"]
  ] as const)("the endpoint %j is %s", ([env, url]) =>
    Effect.map(parsed(env), (config) => assert.deepStrictEqual([config.url, config.issues], [url, []]))
  )

  it.effect.each([
    ["authorization=Basic%20aHVudGVyMg==, x-tenant = t ", { authorization: "Basic aHVudGVyMg==", "x-tenant": "t" }],
    ["a=1,,b=", { a: "1", b: "" }]
  ] as const)("headers %s, which are secrets", ([value, headers]) =>
    Effect.map(parsed({ [`${all}HEADERS`]: value }), (config) =>
      assert.deepStrictEqual([config.headers, config.issues], [headers, []])
    )
  )

  it.effect("the others, and those of metrics before those of all signals", () =>
    Effect.gen(function* () {
      const ofAll = {
        [`${all}HEADERS`]: "a=1",
        [`${all}TIMEOUT`]: "1000",
        [`${all}COMPRESSION`]: "gzip",
        [`${all}PROTOCOL`]: "http/protobuf",
        OTEL_METRIC_EXPORT_INTERVAL: "60000"
      }
      const read = (env: Environment) =>
        Effect.map(parsed(env), ({ compression, headers, interval, issues, protocol, timeout }) => [
          { compression, headers, protocol },
          String(interval),
          String(timeout),
          issues
        ])
      assert.deepStrictEqual(yield* read(ofAll), [
        { compression: "gzip", headers: { a: "1" }, protocol: "http/protobuf" },
        "60000 millis",
        "1000 millis",
        []
      ])
      const ofMetrics = {
        [`${metrics}HEADERS`]: "b=2",
        [`${metrics}TIMEOUT`]: "2000",
        [`${metrics}COMPRESSION`]: "none",
        [`${metrics}PROTOCOL`]: "http/json"
      }
      assert.deepStrictEqual(yield* read({ ...ofAll, ...ofMetrics }), [
        { compression: "none", headers: { b: "2" }, protocol: "http/json" },
        "60000 millis",
        "2000 millis",
        []
      ])
    })
  )

  it.effect.each([
    [{ OTEL_SDK_DISABLED: "true" }, false],
    [{ OTEL_SDK_DISABLED: "TRUE" }, false],
    [{ OTEL_SDK_DISABLED: "false" }, true],
    [{ OTEL_METRICS_EXPORTER: "none" }, false],
    [{ OTEL_METRICS_EXPORTER: "prometheus" }, false],
    [{ OTEL_METRICS_EXPORTER: "prometheus, otlp" }, true]
  ] as const)("%j: exported is %s", ([env, isOn]) =>
    Effect.map(parsed(env), (config) => assert.strictEqual(config.isOn, isOn))
  )

  it.effect("that cannot be read fail the layer, all at once, by name and without their values", () =>
    Effect.gen(function* () {
      const env = {
        [`${metrics}ENDPOINT`]: "hunter2",
        [`${all}HEADERS`]: "authorization=hunter2%zz",
        [`${all}TIMEOUT`]: "hunter2",
        [`${metrics}COMPRESSION`]: "hunter2",
        [`${all}PROTOCOL`]: "grpc-hunter2",
        OTEL_METRIC_EXPORT_INTERVAL: "0"
      }
      const error = yield* Effect.flip(Effect.provide(Effect.void, KeepaliveMetrics.layerOtlpConfig())).pipe(
        within(env)
      )
      assert.strictEqual(error._tag, "TelemetryConfigurationError")
      assert.sameMembers(
        error.issues.map(({ path }) => path.join(".")),
        Object.keys(env)
      )
      assert.notInclude(`${error.message} ${JSON.stringify(error)}`, "hunter2")
    })
  )
})

describe("layerOtlpConfig", () => {
  const once = (options: Partial<KeepaliveMetrics.OtlpOptions>, env: Environment) =>
    Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(
      Effect.provide(KeepaliveMetrics.layerOtlpConfig(options)),
      within(env),
      On.isolated
    )

  it.effect("exports as the environment says, and what an option says counts before it", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const env = {
        [`${all}ENDPOINT`]: `http://127.0.0.1:${collector.port}`,
        [`${all}HEADERS`]: "authorization=Bearer%20secret",
        [`${all}COMPRESSION`]: "gzip",
        [`${all}PROTOCOL`]: "http/protobuf",
        OTEL_SERVICE_NAME: "gateway"
      }
      yield* once({}, env)
      yield* once({ protocol: "http/json", headers: { authorization: "Bearer other" } }, env)
      assert.deepStrictEqual(
        collector.exports.map(({ headers, path, resource }) => [
          path,
          headers["authorization"],
          headers["content-encoding"],
          headers["content-type"],
          resource["service.name"]
        ]),
        [
          ["/v1/metrics", "Bearer secret", "gzip", "application/x-protobuf", "gateway"],
          ["/v1/metrics", "Bearer other", "gzip", "application/json", "gateway"]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("neither exports nor counts where the environment says so", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* once({ url: collector.url }, { OTEL_SDK_DISABLED: "true" })
      assert.strictEqual(collector.requests(), 0)
    }).pipe(Effect.scoped)
  )
})
