/**
 * A real Prometheus that scrapes one page, in a process of its own: what its query API answers, and the page itself.
 *
 * It is in Debian's package `prometheus`, and a suite is skipped without it. Everything happens in real time: the first
 * scrape is five to six seconds after the start, since Prometheus finds its targets no earlier.
 */
import { Effect, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { writeFileSync } from "node:fs"
import * as Http from "node:http"
import { join } from "node:path"
import * as Temporary from "./internal/temporary.ts"

const Labels = Schema.Record(Schema.String, Schema.String)
/** Time in seconds, and the value as text. */
const Sample = Schema.Tuple([Schema.Number, Schema.String])
const Family = Schema.Struct({ type: Schema.String, help: Schema.String })
const Rule = Schema.Struct({
  name: Schema.String,
  health: Schema.String,
  lastError: Schema.optional(Schema.String),
  alerts: Schema.Array(Schema.Struct({ labels: Labels, annotations: Labels, state: Schema.String }))
})

const Answer = <Data extends Schema.Top>(data: Data) => Schema.Struct({ status: Schema.Literal("success"), data })
const Vector = Answer(
  Schema.Struct({
    resultType: Schema.Literal("vector"),
    result: Schema.Array(Schema.Struct({ metric: Labels, value: Sample }))
  })
)
const Matrix = Answer(
  Schema.Struct({
    resultType: Schema.Literal("matrix"),
    result: Schema.Array(Schema.Struct({ metric: Labels, values: Schema.Array(Sample) }))
  })
)
const Words = Answer(Schema.Array(Schema.String))
const Metadata = Answer(Schema.Record(Schema.String, Schema.Array(Family)))
const Rules = Answer(Schema.Struct({ groups: Schema.Array(Schema.Struct({ rules: Schema.Array(Rule) })) }))

/** One series of an answer or of a page. */
export interface Series {
  /** The name is one of them, as `__name__`. */
  readonly labels: Readonly<Record<string, string>>
  /** In time; a single one unless a range was asked for. */
  readonly values: ReadonlyArray<number>
}

export interface Prometheus {
  /** As of now. */
  readonly query: (expression: string) => Effect.Effect<ReadonlyArray<Series>, PrometheusError>
  /** From a time until now, with a value every `step`; both in seconds. */
  readonly range: (
    expression: string,
    from: number,
    step: number
  ) => Effect.Effect<ReadonlyArray<Series>, PrometheusError>
  /** What the label says in any series of the metric, in order. */
  readonly labelValues: (metric: string, label: string) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
  /** Type and help of each metric, as the target says. */
  readonly metadata: Effect.Effect<(typeof Metadata.Type)["data"], PrometheusError>
  /** Every rule with the alerts that it raises now. */
  readonly rules: Effect.Effect<ReadonlyArray<typeof Rule.Type>, PrometheusError>
}

export class PrometheusError extends Schema.TaggedError<PrometheusError>()("PrometheusError", {
  /**
   * `spawn`: it could not be run; `exited`: it ended before it was ready; `unreachable`: nobody answers at an address;
   * `answer`: it says something else than was asked for; `timeout`: `until` waited in vain.
   */
  reason: Schema.Literals(["spawn", "exited", "unreachable", "answer", "timeout"]),
  /** What it said, or was asked. */
  detail: Schema.String
}) {
  override get message() {
    return `Prometheus (${this.reason}): ${this.detail}`
  }
}

export interface Options {
  /** Host and port of what it scrapes twice a second, at `/metrics`. */
  readonly target: string
  /** A file with rules, which it evaluates twice a second. Default: none. */
  readonly rules?: string
}

/** Whether a suite of this name has to be skipped because Prometheus is not installed. If so, says so. */
export const isMissingFor = (suite: string): boolean => {
  const isInstalled = ["prometheus", "promtool"].every((tool) => spawnSync(tool, ["--version"]).error === undefined)
  if (!isInstalled) console.warn(`${suite} skipped: Debian's package prometheus is not installed`)
  return !isInstalled
}

/** Starts it on a free port. When the scope closes, its process and its files are gone. */
export const make = ({ rules, target }: Options): Effect.Effect<Prometheus, PrometheusError, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* Temporary.directory
    const configuration = join(directory, "prometheus.yml")
    // JSON is YAML.
    writeFileSync(
      configuration,
      JSON.stringify({
        global: { scrape_interval: "500ms", evaluation_interval: "500ms" },
        rule_files: rules === undefined ? [] : [rules],
        scrape_configs: [{ job_name: "gateway", static_configs: [{ targets: [target] }] }]
      })
    )
    const { child } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const args = [
          `--config.file=${configuration}`,
          `--storage.tsdb.path=${join(directory, "data")}`,
          "--web.listen-address=127.0.0.1:0",
          "--log.format=logfmt"
        ]
        const child = spawn("prometheus", args, { stdio: ["ignore", "ignore", "pipe"] })
        return { child, release: Temporary.atExit(() => child.kill("SIGKILL")) }
      }),
      ({ child, release }) => Effect.andThen(kill(child), Effect.sync(release))
    )
    return client(yield* listening(child))
  })

/** Asks again until the answer will do, at most 20 seconds. */
export const until = <A>(
  what: string,
  ask: Effect.Effect<A, PrometheusError>,
  will: (answer: A) => boolean
): Effect.Effect<A, PrometheusError> =>
  Effect.suspend(() => {
    let last: A | undefined
    return ask.pipe(
      Effect.tap((answer) => Effect.sync(() => (last = answer))),
      Effect.repeat({ until: will, schedule: Schedule.spaced("50 millis") }),
      Effect.timeoutOrElse({
        duration: "20 seconds",
        orElse: () =>
          Effect.fail(new PrometheusError({ reason: "timeout", detail: `not yet: ${what}: ${JSON.stringify(last)}` }))
      })
    )
  })

/** What stands at an address, such as a page to be scraped, read on a connection of its own. */
export const read = (url: string): Effect.Effect<string, PrometheusError> =>
  Effect.callback((resume) => {
    const fail = (error: Error) =>
      resume(Effect.fail(new PrometheusError({ reason: "unreachable", detail: `${url}: ${error.message}` })))
    const request = Http.get(url, { agent: false }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => (text += part))
      response.on("end", () => resume(Effect.succeed(text)))
      response.on("error", fail)
    })
    request.on("error", fail)
    return Effect.sync(() => request.destroy())
  })

/** The series of a page in the text format, as Prometheus itself would answer them but for `job` and `instance`. */
export const seriesOf = (page: string): ReadonlyArray<Series> =>
  [...page.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = "", labels = "", value]) => ({
    labels: {
      __name__: name,
      ...Object.fromEntries(
        [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = "", text = ""]) => [
          label,
          text.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped))
        ])
      )
    },
    values: [Number(value)]
  }))

const client = (address: string): Prometheus => {
  const ask = <S extends Schema.Decoder<unknown>>(schema: S, path: string, parameters: Record<string, string> = {}) =>
    Effect.flatMap(read(`http://${address}/api/v1/${path}?${new URLSearchParams(parameters)}`), (text) =>
      Effect.mapError(Schema.decodeEffect(Schema.fromJsonString(schema))(text), ({ message }) => {
        const detail = `${path} ${JSON.stringify(parameters)}: ${text.slice(0, 500)}\n${message}`
        return new PrometheusError({ reason: "answer", detail })
      })
    )
  return {
    query: (query) =>
      Effect.map(ask(Vector, "query", { query }), ({ data }) =>
        data.result.map(({ metric, value }) => ({ labels: metric, values: [Number(value[1])] }))
      ),
    range: (query, from, step) =>
      Effect.suspend(() =>
        ask(Matrix, "query_range", { query, start: `${from}`, end: `${Date.now() / 1000}`, step: `${step}` })
      ).pipe(
        Effect.map(({ data }) =>
          data.result.map(({ metric, values }) => ({ labels: metric, values: values.map(([, text]) => Number(text)) }))
        )
      ),
    labelValues: (metric, label) =>
      Effect.map(ask(Words, `label/${label}/values`, { "match[]": metric }), ({ data }) => data),
    metadata: Effect.map(ask(Metadata, "metadata"), ({ data }) => data),
    rules: Effect.map(ask(Rules, "rules"), ({ data }) => data.groups.flatMap(({ rules }) => rules))
  }
}

/** The address on which it listens, which it logs; it is ready a few milliseconds later. */
const listening = (child: ChildProcess): Effect.Effect<string, PrometheusError> =>
  Effect.callback((resume) => {
    let log = ""
    child.stderr?.setEncoding("utf8").on("data", (part: string) => {
      log = (log + part).slice(-16_384)
      const address = /msg="Listening on" address=(\S+)/.exec(log)?.[1]
      if (address !== undefined && log.includes("Server is ready")) resume(Effect.succeed(address))
    })
    child.once("error", ({ message }) => resume(Effect.fail(new PrometheusError({ reason: "spawn", detail: message }))))
    child.once("close", () => resume(Effect.fail(new PrometheusError({ reason: "exited", detail: log }))))
  })

/** It keeps nothing that would need a better end. */
const kill = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
    child.once("close", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
