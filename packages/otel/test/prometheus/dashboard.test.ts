/**
 * What the queries of the dashboard answer to lives that are known to the second: `promtool` evaluates them as Grafana would
 * send them. They are read from dashboard.json, so that these tests cannot speak of other queries.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as On from "../support.ts"
import { namesOf } from "./promql.ts"
import * as Shipped from "./support.ts"

// ----------------------------------------------------------------------------------------------------------- lives

/** What is scraped from a second on, until the next that is named; `gone`: the process or the series is not there. */
type Course = Readonly<Record<number, number | typeof gone>>
const gone = "gone"
const always = (figure: number): Course => ({ 0: figure })

const scrapeEvery = 15
const lasts = 3600

/** In promtool's notation: a series that ends is marked as stale, as Prometheus does when a scrape fails. */
const written = (course: Course): string => {
  const changes = Object.entries(course).map(([second, figure]) => ({ second: Number(second), figure }))
  const figures = Array.from({ length: lasts / scrapeEvery + 1 }, (_, scrape) => {
    const current = changes.findLast(({ second }) => second <= scrape * scrapeEvery)
    return current?.figure ?? gone
  })
  return figures
    .map((figure, scrape) => (figure !== gone ? figure : (figures[scrape - 1] ?? gone) === gone ? "_" : "stale"))
    .join(" ")
}

interface Series {
  readonly series: string
  readonly values: string
}
const series = (metric: string, labels: Readonly<Record<string, string>>, course: Course): Series => ({
  series: On.seriesName(metric, labels),
  values: written(course)
})

const prod = { job: "prod", instance: "a:9464" }
const github = { ...prod, backend_id: "github" }
const isConnected = (labels: Readonly<Record<string, string>>, course: Course) =>
  series("vmcp_keepalive_state", { ...labels, state: "Connected" }, course)

// -------------------------------------------------------------------------------------------------------- promtool

/** What an expression must answer at a time, and nothing besides. */
interface Answer {
  readonly expr: string
  readonly second: number
  readonly samples: ReadonlyArray<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }>
}
interface Case {
  readonly name: string
  readonly life: ReadonlyArray<Series>
  readonly answers: ReadonlyArray<Answer>
}

/** Fails with what promtool found. */
const holds = (cases: ReadonlyArray<Case>) =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "dashboard-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true }))
    )
    const file = join(directory, "tests.yml")
    const tests = cases.map(({ answers, life, name }) => ({
      name,
      interval: `${scrapeEvery}s`,
      input_series: life,
      promql_expr_test: answers.map(({ expr, samples, second }) => ({
        expr,
        eval_time: `${second}s`,
        exp_samples: samples.map(({ labels, value }) => ({ labels: On.seriesName("", labels) || "{}", value }))
      }))
    }))
    // JSON is YAML
    writeFileSync(file, JSON.stringify({ rule_files: [], evaluation_interval: "15s", tests }))
    const { code, said } = yield* Shipped.promtool(["test", "rules", file])
    assert.strictEqual(code, 0, said)
    assert.include(said, "SUCCESS")
  }).pipe(Effect.scoped)

// ------------------------------------------------------------------------------------------------------------ bars

let vocabulary: Shipped.Vocabulary
beforeAll(async () => {
  vocabulary = Shipped.vocabularyOf(await Effect.runPromise(Shipped.scrapeOfEverything()))
})

/** A counter that the query counts, with a word that it looks for in each label of its own. */
const countedBy = ({ expr }: Shipped.Target) => {
  const [first] = namesOf(expr).selectors
  assert.isDefined(first)
  const labels = [...(vocabulary.get(first.metric) ?? [])].map(([label, words]) => {
    const matcher = first.matchers.find((matcher) => matcher.label === label && matcher.operator === "=")
    return [label, label === "backend_id" ? "github" : (matcher?.value ?? [...words][0] ?? "")] as const
  })
  return { metric: first.metric, labels: Object.fromEntries(labels) }
}

interface Life {
  readonly life: string
  /** when the process is scraped; it has another backend, which is there as long as the process is */
  readonly seen: Course
  readonly counter: Course
  /** the bars of a minute that are not zero, by the minute with which they end */
  readonly bars: Readonly<Record<number, number>>
}

/** A figure that grows by something else at each scrape. */
const growing = Array.from({ length: lasts / scrapeEvery + 1 }, (_, scrape) => scrape).reduce<Array<number>>(
  (figures, scrape) => [...figures, (figures.at(-1) ?? 0) + ((scrape * 7) % 5)],
  []
)
const minutes = Array.from({ length: lasts / 60 }, (_, index) => index + 1)
const growth = (minute: number) => (growing[minute * 4] ?? 0) - (growing[(minute - 1) * 4] ?? 0)

const lives: ReadonlyArray<Life> = [
  {
    life: "the first event of a series is one, whenever it is scraped",
    seen: always(1),
    counter: { 607: 1, 1230: 3 },
    bars: { 11: 1, 21: 2 }
  },
  {
    life: "an event of a series that has long been there is one, in one bar",
    seen: always(1),
    counter: { 0: 10, 645: 11 },
    bars: { 11: 1 }
  },
  {
    life: "many events are as many",
    seen: always(1),
    counter: Object.fromEntries(growing.map((figure, scrape) => [scrape * scrapeEvery, figure])),
    bars: Object.fromEntries(minutes.map((minute) => [minute, growth(minute)]))
  },
  {
    life: "four minutes without a scrape, in which nothing happens, are nothing",
    seen: { 0: 1, 601: gone, 840: 1 },
    counter: { 0: 5000, 601: gone, 840: 5000 },
    bars: {}
  },
  {
    life: "what happened in four minutes without a scrape is in the next bar",
    seen: { 0: 1, 601: gone, 840: 1 },
    counter: { 0: 5000, 601: gone, 840: 5003 },
    bars: { 14: 3 }
  },
  {
    life: "what happened in twenty minutes without a scrape is not known",
    seen: { 0: 1, 601: gone, 1800: 1 },
    counter: { 0: 5000, 601: gone, 1800: 5003, 1900: 5004 },
    bars: { 32: 1 }
  },
  {
    life: "what a process had counted before Prometheus began is nothing, what it counts from then on is",
    seen: { 2400: 1 },
    counter: { 2400: 57, 2705: 58 },
    bars: { 46: 1 }
  },
  {
    life: "a process that is started again counts again",
    seen: { 0: 1, 1000: gone, 1030: 1 },
    counter: { 0: 57, 1000: gone, 1060: 2, 1300: 3 },
    bars: { 18: 2, 22: 1 }
  },
  {
    life: "what a process counts between its restart and the next scrape is counted, even if no scrape failed",
    seen: always(1),
    counter: { 0: 57, 1000: 2, 1300: 3 },
    bars: { 17: 2, 22: 1 }
  },
  {
    life: "the last events of a backend that is removed are counted",
    seen: always(1),
    counter: { 0: 1, 610: 4, 650: gone },
    bars: { 11: 3 }
  }
]

describe.skipIf(Prometheus.isMissingFor("promtool:"))("the bars of every panel", () => {
  it("are of every counter", () => {
    const counters = [...vocabulary.keys()].filter((metric) => metric.endsWith("_total"))
    assert.includeMembers(
      Shipped.counting.map((target) => countedBy(target).metric),
      counters
    )
  })

  it.live.each(lives)("$life", ({ bars, counter, seen }) =>
    holds(
      Shipped.counting.map((target) => {
        const { labels, metric } = countedBy(target)
        const legend = Object.fromEntries(
          Shipped.legendLabels(target).map((label) => [label, { ...labels, ...prod }[label] ?? ""])
        )
        const asked = (interval: string) =>
          Shipped.substituted(target.expr, { interval, job: "prod", backend: "github" })
        // the same in another job, and where backends are chosen in another backend: none of it may be in the bars
        const grows = Object.fromEntries(minutes.map((minute) => [minute * 60 - 5, minute * 100]))
        const unchosen: Array<Readonly<Record<string, string>>> = [{ ...labels, ...prod, job: "staging" }]
        if (target.expr.includes("$backend")) unchosen.push({ ...labels, ...prod, backend_id: "other" })
        const all = Object.values(bars).reduce((sum, bar) => sum + bar, 0)
        const samples = (value: number | undefined) => (value ? [{ labels: legend, value }] : [])
        return {
          name: `${target.panel.title}: ${target.legendFormat}`,
          life: [
            series(metric, { ...labels, ...prod }, counter),
            isConnected({ ...prod, backend_id: "other" }, seen),
            ...unchosen.map((labels) => series(metric, labels, grows)),
            // processes that are always there vouch for themselves only
            isConnected({ ...github, instance: "b:9464" }, always(1)),
            isConnected({ ...github, job: "staging" }, always(1))
          ],
          answers: [
            ...minutes.map((minute) => ({
              expr: `(${asked("1m")}) != 0`,
              second: minute * 60,
              samples: samples(bars[minute])
            })),
            // seen from farther away it is as much
            { expr: `sum_over_time((${asked("5m")})[55m:5m]) != 0`, second: lasts, samples: samples(all) }
          ]
        }
      })
    )
  )
})

// ----------------------------------------------------------------------------------------------------- other panels

describe.skipIf(Prometheus.isMissingFor("promtool:"))("the panel", () => {
  it.live("of shares tells the very first calls that were not ok", () => {
    const { expr } = Shipped.targetOf("Share of calls that were not simply ok")
    const query = Shipped.substituted(expr, { interval: "1m" })
    const calls = (outcome: string, course: Course) =>
      series("vmcp_keepalive_call_total", { ...github, outcome }, course)
    return holds([
      {
        name: "shares",
        life: [
          isConnected(github, always(1)),
          calls("ok", { 0: 100, 610: 108 }),
          calls("failed", { 620: 1 }),
          calls("outcome_unknown", { 630: 1 })
        ],
        answers: [
          {
            expr: query,
            second: 660,
            samples: ["failed", "outcome_unknown"].map((outcome) => ({ labels: { outcome }, value: 0.1 }))
          },
          // no calls, no shares
          { expr: `${query} >= 0`, second: 900, samples: [] }
        ]
      }
    ])
  })

  it.live("of latencies tells each backend's, as far as the buckets go, where it was probed", () => {
    // with the default interval these are three probes
    assert.strictEqual(Shipped.targetOf("Probe latency", "{{backend_id}} p50").panel.interval, "15m")
    const bounds = ["0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"]
    const probed = (backend_id: string, probes: Readonly<Record<number, number>>) =>
      [...bounds, "30", "+Inf"].map((le) => {
        const below = Object.entries(probes).filter(([, latency]) => latency <= Number(le.replace("+Inf", "Infinity")))
        // the buckets are there from the first probe on
        const [first = 0] = Object.keys(probes).map(Number)
        const course = Object.fromEntries(below.map(([second], index) => [Number(second), index + 1]))
        return series("vmcp_keepalive_latency_seconds_bucket", { ...github, backend_id, le }, { [first]: 0, ...course })
      })
    // in tenths of a millisecond
    const asked = (legend: string) =>
      `round(10000 * (${Shipped.substituted(Shipped.targetOf("Probe latency", legend).expr, { interval: "15m" })}))`
    const values = (figures: Readonly<Record<string, number>>) =>
      Object.entries(figures).map(([backend_id, value]) => ({ labels: { backend_id }, value }))
    return holds([
      {
        name: "latencies",
        life: [
          isConnected(github, always(1)),
          // one of three within 100 ms, the others within 5 ms
          ...probed("github", { 1000: 0.004, 1300: 0.004, 1600: 0.08 }),
          // its only probe is its first
          ...probed("slow", { 1700: 7 })
        ],
        answers: [
          { expr: asked("{{backend_id}} p50"), second: 1800, samples: values({ github: 44, slow: 75_000 }) },
          { expr: asked("{{backend_id}} p99"), second: 1800, samples: values({ github: 985, slow: 99_500 }) },
          // not probed any more
          { expr: asked("{{backend_id}} p50"), second: 2700, samples: [] }
        ]
      }
    ])
  })

  it.live("of durations tells each backend's, without those that were rejected", () => {
    const bounds = ["0.01", "0.05", "0.2", "1", "5", "30", "120", "300", "+Inf"]
    const ended = (outcome: string, calls: number, seconds: number) =>
      bounds.map((le) =>
        series(
          "vmcp_keepalive_call_duration_seconds_bucket",
          { ...github, outcome, le },
          { 600: 0, 610: seconds <= Number(le.replace("+Inf", "Infinity")) ? calls : 0 }
        )
      )
    // in tenths of a second
    const asked = (legend: string) =>
      `round(10 * (${Shipped.substituted(Shipped.targetOf("Call duration", legend).expr, { interval: "1m" })}))`
    const values = (value: number) => [{ labels: { backend_id: "github" }, value }]
    return holds([
      {
        name: "durations",
        life: [
          isConnected(github, always(1)),
          ...ended("ok", 98, 0.8),
          ...ended("outcome_unknown", 2, 90),
          ...ended("rejected", 1000, 0)
        ],
        answers: [
          { expr: asked("{{backend_id}} p50"), second: 660, samples: values(6) },
          { expr: asked("{{backend_id}} p99"), second: 660, samples: values(750) },
          // no calls
          { expr: asked("{{backend_id}} p50"), second: 900, samples: [] }
        ]
      }
    ])
  })

  it.live("of backends that are not Connected tells for how long", () => {
    const { expr } = Shipped.targetOf("Backends that are not Connected")
    const query = Shipped.substituted(expr, { interval: "1m", range: "30m", job: "prod" })
    const states = (backend_id: string, courses: Readonly<Record<string, Course>>) =>
      Object.entries(courses).map(([state, course]) =>
        series("vmcp_keepalive_state", { ...github, backend_id, state }, course)
      )
    return holds([
      {
        name: "for how long",
        life: [
          ...states("well", { Connected: always(1), Disconnected: always(0) }),
          // attempts in between do not begin anew; 2700 is the last minute in which it was Connected
          ...states("down", {
            Connected: { 0: 1, 2750: 0 },
            Disconnected: { 0: 0, 2750: 1, 2900: 0, 2930: 1, 3000: 0 },
            Connecting: { 0: 0, 2900: 1, 2930: 0 },
            CircuitOpen: { 0: 0, 3000: 1 }
          }),
          // it is there since second 3000
          ...states("new", { Connected: { 3000: 0 }, NeedsAuth: { 3000: 1 } }),
          // for longer than what the dashboard shows
          ...states("long", { Connected: { 0: 1, 600: 0 }, Isolated: { 0: 0, 600: 1 } }),
          series("vmcp_keepalive_state", { ...github, job: "staging", state: "CircuitOpen" }, always(1)),
          isConnected({ ...github, job: "staging" }, always(0))
        ],
        answers: [
          {
            expr: query,
            second: 3600,
            samples: Object.entries({
              down: ["CircuitOpen", 900],
              new: ["NeedsAuth", 600],
              long: ["Isolated", 1800]
            }).map(([backend_id, [state = "", value]]) => ({
              labels: { ...prod, backend_id, state: String(state) },
              value: Number(value)
            }))
          }
        ]
      }
    ])
  })

  it.live("of states and of what is not Connected count a backend of a cluster where it is kept", () => {
    const state = (instance: string, state: string, course: Course) =>
      series("vmcp_keepalive_state", { ...github, instance, state }, course)
    const owner = (instance: string, course: Course) =>
      series("vmcp_keepalive_cluster_owner", { ...github, instance }, course)
    const asked = (title: string) =>
      Shipped.substituted(Shipped.targetOf(title).expr, { interval: "1m", range: "1h", job: "prod" })
    return holds([
      {
        name: "moved",
        life: [
          // from a to b, whose attempts fail; what a had is told for another minute
          state("a:9464", "Connected", { 0: 1, 610: 0, 670: gone }),
          state("a:9464", "Closed", { 0: 0, 610: 1, 670: gone }),
          owner("a:9464", { 0: 1, 610: 0, 670: gone }),
          state("b:9464", "Connected", { 615: 0 }),
          state("b:9464", "Disconnected", { 615: 1 }),
          owner("b:9464", { 615: 1 })
        ],
        answers: [
          {
            expr: `(${asked("Backends by state")}) != 0`,
            second: 630,
            samples: [{ labels: { state: "Disconnected" }, value: 1 }]
          },
          {
            expr: `(${asked("Backends that are not Connected")}) >= bool 0`,
            second: 660,
            samples: [{ labels: { ...github, instance: "b:9464", state: "Disconnected" }, value: 1 }]
          },
          { expr: asked("Kept twice"), second: 660, samples: [{ labels: {}, value: 0 }] },
          {
            expr: asked("Backends kept by each process"),
            second: 630,
            samples: [
              { labels: { ...prod, instance: "a:9464" }, value: 0 },
              { labels: { ...prod, instance: "b:9464" }, value: 1 }
            ]
          }
        ]
      }
    ])
  })

  it.live("of reasons tells what went wrong with them, also before Prometheus looked", () => {
    const reasons = Shipped.targets.filter(({ panel }) => panel.title === "Why they are not Connected")
    const state = (backend_id: string, state: string) =>
      series("vmcp_keepalive_state", { ...github, backend_id, state }, always(1))
    return holds(
      reasons.map((target) => {
        const { labels, metric } = countedBy(target)
        const counter = (backend_id: string, figure: number) =>
          series(metric, { ...labels, ...github, backend_id }, always(figure))
        return {
          name: metric,
          life: [
            state("down", "CircuitOpen"),
            counter("down", 1),
            // one that recovered, and one that sleeps
            state("well", "Connected"),
            counter("well", 20),
            state("asleep", "Idle"),
            counter("asleep", 20)
          ],
          answers: [
            {
              expr: Shipped.substituted(target.expr, { interval: "1m" }),
              second: 300,
              samples: [{ labels: { ...github, backend_id: "down", reason: labels["reason"] ?? "" }, value: 1 }]
            }
          ]
        }
      })
    )
  })
})
