/** The dashboard and the alerts as they are shipped, the tools that read them, and what the package exposes. */
import { FailureReason, type KeepaliveEvent, Lists, Ownership } from "@vmcp-keepalive/core"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Duration, Effect, Logger, Schema } from "effect"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parse } from "yaml"
import { KeepaliveMetrics } from "../../src/index.ts"
import * as On from "../support.ts"

// ------------------------------------------------------------------------------------------------------- the tools

/** Runs promtool; succeeds with its exit code and everything that it said. */
export const promtool = (args: ReadonlyArray<string>, input = "") =>
  Effect.callback<{ readonly code: number | null; readonly said: string }, Error>((resume) => {
    const child = spawn("promtool", args, { stdio: ["pipe", "pipe", "pipe"] })
    let said = ""
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (part) => (said += part))
    child.on("error", (error) => resume(Effect.fail(error)))
    child.on("close", (code) => resume(Effect.succeed({ code, said })))
    child.stdin.on("error", () => {}).end(input)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

// --------------------------------------------------------------------------------------------- what is shipped

export const pathOf = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url))
export const alertsPath = pathOf("prometheus/alerts.yml")
export const alertTestsPath = pathOf("prometheus/alerts.test.yml")

const GridPos = Schema.Struct({ x: Schema.Int, y: Schema.Int, w: Schema.Int, h: Schema.Int })
const Row = Schema.Struct({
  type: Schema.Literal("row"),
  id: Schema.Int,
  title: Schema.NonEmptyString,
  gridPos: GridPos
})
const Datasource = Schema.Struct({ type: Schema.String, uid: Schema.String })
const Mapping = Schema.Struct({
  type: Schema.Literal("value"),
  options: Schema.Record(Schema.String, Schema.Struct({ text: Schema.String, color: Schema.String }))
})
const Panel = Schema.Struct({
  id: Schema.Int,
  type: Schema.String,
  title: Schema.NonEmptyString,
  description: Schema.NonEmptyString,
  datasource: Datasource,
  gridPos: GridPos,
  /** the least time between two values of a range query, which is its `$__interval` */
  interval: Schema.optional(Schema.Literals(["1m", "15m"])),
  options: Schema.Struct({
    reduceOptions: Schema.optional(Schema.Struct({ calcs: Schema.Tuple([Schema.Literals(["lastNotNull", "sum"])]) }))
  }),
  fieldConfig: Schema.Struct({
    defaults: Schema.Struct({ unit: Schema.NonEmptyString, mappings: Schema.optional(Schema.Array(Mapping)) }),
    overrides: Schema.Array(
      Schema.Struct({
        matcher: Schema.Struct({ id: Schema.Literals(["byName", "byFrameRefID"]), options: Schema.String }),
        properties: Schema.Array(Schema.Struct({ id: Schema.String, value: Schema.Unknown }))
      })
    )
  }),
  transformations: Schema.optional(Schema.Array(Schema.Unknown)),
  targets: Schema.NonEmptyArray(
    Schema.Struct({
      refId: Schema.NonEmptyString,
      datasource: Datasource,
      expr: Schema.NonEmptyString,
      legendFormat: Schema.String,
      instant: Schema.Boolean,
      range: Schema.Boolean
    })
  )
})

const Dashboard = Schema.Struct({
  uid: Schema.NonEmptyString,
  title: Schema.NonEmptyString,
  schemaVersion: Schema.Int,
  templating: Schema.Struct({
    list: Schema.Array(
      Schema.Struct({
        name: Schema.String,
        type: Schema.String,
        definition: Schema.optional(Schema.String),
        allValue: Schema.optional(Schema.String)
      })
    )
  }),
  panels: Schema.Array(Schema.Union([Row, Panel]))
})

export const dashboardText = readFileSync(pathOf("grafana/dashboard.json"), "utf8")
/** Decoding proves that every panel has a title, a description, a unit and queries. */
export const dashboard = Schema.decodeUnknownSync(Dashboard)(JSON.parse(dashboardText))
export const panels = dashboard.panels.flatMap((panel) => ("targets" in panel ? [panel] : []))
export const targets = panels.flatMap((panel) => panel.targets.map((target) => ({ panel, ...target })))
export type Target = (typeof targets)[number]
/** The only target of the panel, or the one with this legend. */
export const targetOf = (title: string, legend?: string): Target => {
  const found = targets.filter(
    ({ legendFormat, panel }) => panel.title === title && (legend ?? legendFormat) === legendFormat
  )
  if (found[0] === undefined || found.length > 1) throw new Error(`${found.length} targets of ${title} ${legend}`)
  return found[0]
}

/** Queries that count events in bars. */
export const counting = targets.filter(
  ({ expr, instant, panel }) => /_total\b/.test(expr) && !instant && panel.fieldConfig.defaults.unit !== "percentunit"
)

/** The labels that tell the series of the query apart. */
export const legendLabels = ({ legendFormat }: Target): ReadonlyArray<string> =>
  [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label)

/** What Grafana puts in the place of variables. */
export interface Choice {
  /** the step of a range query */
  readonly interval: string
  /** the time range of the dashboard */
  readonly range?: string
  readonly job?: string
  readonly instance?: string
  readonly backend?: string
}

/** A query as Grafana sends it; where nothing is chosen, All is. */
export const substituted = (expression: string, { interval, range = "1h", ...chosen }: Choice): string => {
  const choices = new Map(Object.entries(chosen))
  return dashboard.templating.list.reduce(
    (query, { allValue = "", name }) => query.replaceAll(`$${name}`, choices.get(name) ?? allValue),
    expression.replaceAll("$__interval", interval).replaceAll("$__range", range)
  )
}

/** The panels that a text names, in double quotes. */
export const panelsIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => title)

const Alerts = Schema.Struct({
  groups: Schema.Array(
    Schema.Struct({
      name: Schema.NonEmptyString,
      rules: Schema.Array(
        Schema.Struct({
          alert: Schema.NonEmptyString,
          expr: Schema.NonEmptyString,
          for: Schema.optional(Schema.String),
          labels: Schema.Struct({ severity: Schema.Literals(["critical", "warning"]) }),
          annotations: Schema.Struct({
            summary: Schema.NonEmptyString,
            description: Schema.NonEmptyString,
            runbook: Schema.NonEmptyString
          })
        })
      )
    })
  )
})
export const alerts = Schema.decodeUnknownSync(Alerts)(parse(readFileSync(alertsPath, "utf8"))).groups.flatMap(
  ({ rules }) => rules
)

// ----------------------------------------------------------------------------------------- what the package exposes

type Happening = KeepaliveEvent.Happening

const method = "ping"
const duration = Duration.millis(3)
const settled = <const Outcome extends KeepaliveEvent.CallOutcome>(outcome: Outcome, replayed = false) =>
  ({ _tag: "CallSettled", outcome, reason: undefined, replayed, method: "tools/call", duration }) as const
const outcomes = {
  ok: settled("ok"),
  failed: settled("failed"),
  rejected: settled("rejected"),
  outcome_unknown: settled("outcome_unknown")
} satisfies { readonly [Outcome in KeepaliveEvent.CallOutcome]: { readonly outcome: Outcome } }

const detail = undefined

/** Every kind of event with every word that it can hold: the compiler asks for what is missing. */
const everyKind = {
  Started: On.tags.map((tag) => ({ _tag: "Started", state: On.stateOf[tag], required: tag === "Idle" }) as const),
  Reconfigured: [{ _tag: "Reconfigured", connection: true, policy: true, required: true }],
  StateChanged: On.tags.map((tag) => ({ _tag: "StateChanged", from: On.stateOf.Idle, to: On.stateOf[tag] }) as const),
  AttemptScheduled: [{ _tag: "AttemptScheduled", delay: duration }],
  AttemptSucceeded: [{ _tag: "AttemptSucceeded", generation: 1, duration }],
  AttemptFailed: FailureReason.all.map((reason) => ({ _tag: "AttemptFailed", reason, detail, duration }) as const),
  ProbeSent: [{ _tag: "ProbeSent", method }],
  ProbeSucceeded: [{ _tag: "ProbeSucceeded", method, latency: duration }],
  ProbeFailed: FailureReason.all.map((reason) => ({ _tag: "ProbeFailed", method, reason, detail }) as const),
  ProbeSuppressed: [{ _tag: "ProbeSuppressed" }],
  CircuitOpened: FailureReason.all.map((reason) => ({ _tag: "CircuitOpened", openings: 1, reason }) as const),
  Stabilized: [{ _tag: "Stabilized" }],
  SessionExpired: [{ _tag: "SessionExpired", generation: 1 }],
  SessionDraining: FailureReason.all.map((reason) => ({ _tag: "SessionDraining", generation: 1, reason }) as const),
  SessionClosed: FailureReason.all.map((reason) => ({ _tag: "SessionClosed", generation: 1, reason, detail }) as const),
  CallStarted: [{ _tag: "CallStarted" }],
  CallQueued: [{ _tag: "CallQueued" }],
  CallDequeued: [{ _tag: "CallDequeued" }],
  ReplayDenied: [{ _tag: "ReplayDenied" }],
  CallSettled: [
    ...Object.values(outcomes),
    settled("ok", true),
    ...FailureReason.all.map((reason) => ({ ...outcomes.rejected, reason }))
  ],
  ListChanged: Lists.kinds.map(
    (kind) => ({ _tag: "ListChanged", kind, added: ["a"], removed: ["b"], changed: ["c"] }) as const
  ),
  Noticed: [{ _tag: "Noticed", notice: "garbage", count: 1 }]
} satisfies { readonly [Tag in Happening["_tag"]]: ReadonlyArray<Extract<Happening, { readonly _tag: Tag }>> }

/** A real scrape after everything that can happen has happened, twice, also to one backend more than maxBackends. */
export const scrapeOfEverything = (options: KeepaliveMetrics.Options = {}): Effect.Effect<string, unknown> =>
  Effect.gen(function* () {
    const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
    const tell = yield* On.tell
    for (const happenings of Object.values(everyKind)) {
      for (const backend of ["counted", "counted", "dropped"]) tell(backend, ...happenings)
    }
    for (const observe of yield* Ownership.observers) observe("counted", () => Duration.seconds(9))
    return yield* Prometheus.read(url)
  }).pipe(
    Effect.provide(KeepaliveMetrics.layerPrometheus({ ...options, port: 0, maxBackends: 1 })),
    // it warns of what is wanted here
    Effect.provide(Logger.layer([])),
    On.isolated
  )

/** Every value of every label of every series, by the name of the series. */
export type Vocabulary = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>

export const vocabularyOf = (scraped: string): Vocabulary => {
  const words = new Map<string, Map<string, Set<string>>>()
  for (const { labels } of Prometheus.seriesOf(scraped)) {
    const { __name__: name = "", ...own } = labels
    const known = words.get(name) ?? new Map<string, Set<string>>()
    words.set(name, known)
    for (const [label, value] of Object.entries(own)) known.set(label, (known.get(label) ?? new Set()).add(value))
  }
  return words
}
