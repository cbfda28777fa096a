/** Whether anybody notices that telemetry does not reach the backends. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Effect, Schema } from "effect"
import { fork } from "node:child_process"

const Told = Schema.decodeUnknownSync(
  Schema.Array(
    Schema.Struct({
      wiring: Schema.String,
      /** the page, or what a collector got */
      read: Schema.String,
      lines: Schema.Array(
        Schema.Struct({
          annotations: Schema.Struct({ backends: Schema.Number, made_before_telemetry: Schema.Number }),
          level: Schema.String,
          message: Schema.String
        })
      )
    })
  )
)

let told: ReturnType<typeof Told>
beforeAll(async () => {
  told = await Effect.runPromise(
    Effect.callback<ReturnType<typeof Told>, Error>((resume) => {
      const child = fork(new URL("programs/wiring.ts", import.meta.url), { execArgv: ["--no-warnings"] })
      child.once("message", (message) => resume(Effect.sync(() => Told(message))))
      child.once("exit", (code) => resume(Effect.fail(new Error(`it ended with ${code}`))))
      return Effect.sync(() => void child.kill("SIGKILL"))
    })
  )
})

const of = (name: string) => told.find(({ wiring }) => wiring === name) ?? assert.fail(name)

const backendsOf = (page: string) =>
  Prometheus.seriesOf(page).flatMap(({ labels, values }) =>
    labels["__name__"] === "vmcp_keepalive_backends" ? [...values] : []
  )

const well = [
  ["provided", 2],
  ["provided to the program", 2],
  ["no backend yet", 0],
  ["no backend yet, beside an app whose telemetry has its own", 2]
] as const

const wrong = [
  "merged",
  "merged, telemetry first",
  "in one array",
  "in an inner scope",
  "in an inner scope that is over before the app reads",
  "merged, two exporters",
  "merged, a MeterProvider",
  "merged, a producer"
]

describe("telemetry that is well:", () => {
  it.each(well)("%s: no warning, and the page says how many backends there are: %d", (wiring, count) => {
    const { lines, read } = of(wiring)
    assert.deepStrictEqual(lines, [])
    assert.deepStrictEqual(backendsOf(read), [count])
  })
})

describe("two backends and telemetry that does not reach them:", () => {
  it.each(wrong)("%s: one warning names the mistake and what to write instead", (wiring) => {
    const { lines, read } = of(wiring)
    assert.deepStrictEqual(
      lines.map(({ level }) => level),
      ["WARN"]
    )
    const [{ annotations, message } = assert.fail()] = lines
    for (const mistake of ["Layer.mergeAll(App, Telemetry)", "[App, Telemetry]", "in an inner scope"]) {
      assert.include(message, mistake)
    }
    assert.include(message, "App.pipe(Layer.provide(Telemetry))")
    // those of the ways before are in the same process
    assert.strictEqual(annotations.backends, 2 * (wrong.indexOf(wiring) + 1))
    if (wiring.startsWith("in an inner scope")) {
      assert.strictEqual(annotations.made_before_telemetry, annotations.backends)
    }
    if (read.startsWith("#")) assert.deepStrictEqual(backendsOf(read), [0])
    else if (read !== "") assert.strictEqual(read, '[[["vmcp_keepalive_backends",[0]]]]')
  })

  it("are all the ways that were tried", () => {
    assert.deepStrictEqual(
      told.map(({ wiring }) => wiring),
      [...well.map(([wiring]) => wiring), ...wrong]
    )
  })
})
