/** No query of the dashboard and no alert names a metric, a label or a word that the package does not expose. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { parse } from "yaml"
import { namesOf, wordsOf } from "./promql.ts"
import * as Shipped from "./support.ts"

let vocabulary: Shipped.Vocabulary
beforeAll(async () => {
  vocabulary = Shipped.vocabularyOf(await Effect.runPromise(Shipped.scrapeOfEverything()))
})

/** What Prometheus adds to every series that it scrapes. */
const ofTheTarget = ["instance", "job"]
const variables = Shipped.dashboard.templating.list.map(({ name }) => name)
/** The variable that chooses among the values of a label. */
const choice: Readonly<Record<string, string>> = { job: "job", instance: "instance", backend_id: "backend" }

/** Everything that the expression names and that does not exist. */
const unknownIn = (expression: string): ReadonlyArray<string> => {
  const { grouping, selectors } = namesOf(expression)
  const labels = new Set(ofTheTarget)
  const unknown: Array<string> = []
  for (const { matchers, metric } of selectors) {
    const known = vocabulary.get(metric)
    if (known === undefined) unknown.push(`metric ${metric}`)
    for (const label of known?.keys() ?? []) labels.add(label)
    for (const matcher of matchers) {
      const values = known?.get(matcher.label)
      if (values === undefined && !ofTheTarget.includes(matcher.label))
        unknown.push(`label ${metric}{${matcher.label}}`)
      for (const word of wordsOf(matcher)) {
        const isKnown = word.startsWith("$") ? variables.includes(word.slice(1)) : values?.has(word)
        if (isKnown !== true) unknown.push(`word ${metric}{${matcher.label}="${word}"}`)
      }
    }
  }
  return [...unknown, ...grouping.filter((label) => !labels.has(label)).map((label) => `label ${label}`)]
}

const labelsOf = (expression: string) => [
  ...ofTheTarget,
  ...namesOf(expression).selectors.flatMap(({ metric }) => [...(vocabulary.get(metric)?.keys() ?? [])])
]
const words = (metric: string, label: string) => [...(vocabulary.get(metric)?.get(label) ?? [])]

describe("the names that are checked", () => {
  it("are what the package itself exposes, every word of them", () => {
    assert.isAtLeast(vocabulary.size, 15)
    assert.isAtLeast(words("vmcp_keepalive_state", "state").length, 9)
    assert.deepStrictEqual(words("vmcp_keepalive_reconnect_total", "outcome").toSorted(), ["failed", "ok"])
  })

  it("include what is wrong on purpose", () => {
    assert.deepStrictEqual(unknownIn("rate(vmcp_keepalive_attempts_total[5m])"), [
      "metric vmcp_keepalive_attempts_total"
    ])
    assert.deepStrictEqual(unknownIn('vmcp_keepalive_state{state=~"Connected|Dead", url="x"} == 1'), [
      'word vmcp_keepalive_state{state="Dead"}',
      "label vmcp_keepalive_state{url}",
      'word vmcp_keepalive_state{url="x"}'
    ])
    assert.deepStrictEqual(
      unknownIn('sum by (reason) (vmcp_keepalive_call_total{outcome="unknown"} offset 5m) > bool 0 or {job="x"}'),
      ['word vmcp_keepalive_call_total{outcome="unknown"}', "metric ", 'word {job="x"}', "label reason"]
    )
    assert.deepStrictEqual(unknownIn('vmcp_keepalive_state{backend_id=~"$backends"}'), [
      'word vmcp_keepalive_state{backend_id="$backends"}'
    ])
  })
})

describe("the dashboard", () => {
  it("names nothing that does not exist", () => {
    assert.deepStrictEqual(
      Shipped.targets.flatMap(({ expr, panel }) => unknownIn(expr).map((unknown) => `${panel.title}: ${unknown}`)),
      []
    )
  })

  it("shows every metric that there is", () => {
    const shown = new Set(Shipped.targets.flatMap(({ expr }) => namesOf(expr).selectors.map(({ metric }) => metric)))
    const missing = [...vocabulary.keys()].filter((metric) => !shown.has(metric) && !/_(sum|count)$/.test(metric))
    assert.deepStrictEqual(missing, [])
  })

  it("has legends of labels that its series have", () => {
    for (const { expr, legendFormat, panel } of Shipped.targets) {
      for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        assert.include(labelsOf(expr), label, panel.title)
        assert.include([...namesOf(expr).grouping], label, panel.title)
      }
    }
  })

  it("declares every variable that it uses, and uses every one that it declares", () => {
    const used = [...Shipped.dashboardText.matchAll(/\$\{?(\w+)/g)].map(([, name = ""]) => name)
    const own = used.filter((name) => !name.startsWith("__"))
    assert.deepStrictEqual([...new Set(own)].toSorted(), variables.toSorted())
    const builtIn = new Set(used.filter((name) => name.startsWith("__")))
    assert.deepStrictEqual([...builtIn].toSorted(), ["__all", "__interval", "__range"])
    for (const { definition, name } of Shipped.dashboard.templating.list) {
      if (definition === undefined) continue
      const [, selector = "", label = ""] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
      assert.deepStrictEqual(unknownIn(selector), [], name)
      assert.include(labelsOf(selector), label, name)
    }
  })

  it("asks about the chosen jobs and instances only, and below the first row about the chosen backends only", () => {
    const first = Shipped.dashboard.panels.findIndex(({ title }) => title.includes("$backend"))
    const ofTheFleet = new Set(Shipped.dashboard.panels.slice(0, first).map(({ id }) => id))
    for (const { expr, panel } of Shipped.targets) {
      for (const { matchers, metric } of namesOf(expr).selectors) {
        const chosen = matchers.filter(
          ({ label, operator, value }) => operator === "=~" && value === `$${choice[label]}`
        )
        // that a process was seen is of the process
        const isOfProcess = ofTheFleet.has(panel.id) || (metric === "vmcp_keepalive_state" && panel.title !== "State")
        assert.deepStrictEqual(
          chosen.map(({ label }) => label),
          isOfProcess ? ["job", "instance"] : ["job", "instance", "backend_id"],
          panel.title
        )
      }
    }
    const choices = Shipped.dashboard.templating.list.flatMap(({ allValue, name }) =>
      allValue === undefined ? [] : [{ allValue, name }]
    )
    assert.deepStrictEqual(
      choices,
      Object.values(choice).map((name) => ({ name, allValue: ".*" }))
    )
  })

  it("sums bars of a minute or more, one after the other, where it says how often", () => {
    for (const { expr, instant, panel } of Shipped.targets) {
      const isCount = /_total\b/.test(expr) && !instant
      if (isCount || expr.includes("$__")) assert.isDefined(panel.interval, panel.title)
      if (panel.type === "stat") {
        assert.deepStrictEqual(panel.options.reduceOptions?.calcs, [isCount ? "sum" : "lastNotNull"], panel.title)
      }
      // the time of a bar is the step of its query, whatever the scrape interval and the zoom are
      assert.notMatch(expr, /\b(?:rate|irate|increase|delta)\b/, panel.title)
    }
  })

  it("names in its texts only panels that it has, and each panel otherwise", () => {
    const titles = Shipped.panels.map(({ title }) => title)
    assert.strictEqual(new Set(titles).size, titles.length)
    for (const { description, title } of Shipped.panels) {
      assert.includeMembers(titles, [...Shipped.panelsIn(description)], title)
    }
  })

  it("asks the chosen data source and nothing else", () => {
    const wrong = [...Shipped.panels, ...Shipped.targets].filter(
      ({ datasource }) => datasource.type !== "prometheus" || datasource.uid !== "${datasource}"
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("colours words that exist, and every state", () => {
    const states = words("vmcp_keepalive_state", "state").toSorted()
    for (const { fieldConfig, targets, title, transformations } of Shipped.panels) {
      const legends = targets.flatMap(({ expr, legendFormat }) => {
        const label = /^\{\{(\w+)\}\}$/.exec(legendFormat)?.[1]
        const metrics = namesOf(expr).selectors.map(({ metric }) => metric)
        return label === undefined ? [legendFormat] : metrics.flatMap((metric) => words(metric, label))
      })
      const named = fieldConfig.overrides.filter(({ matcher }) => matcher.id === "byName")
      const coloured = named.map(({ matcher }) => matcher.options)
      if (transformations === undefined) assert.includeMembers([...legends], coloured, title)
      if (legends.includes("Connected")) assert.deepStrictEqual(coloured.toSorted(), states, title)
    }
  })

  it("draws each state of the timeline as what it is", () => {
    const timeline = Shipped.panels.find(({ type }) => type === "state-timeline")
    assert.isDefined(timeline)
    const numbers = [...timeline.targets[0].expr.matchAll(/state="(\w+)"\} \* (\d+)/g)]
    const drawn = timeline.fieldConfig.defaults.mappings?.[0]?.options ?? {}
    assert.deepStrictEqual(
      Object.fromEntries(numbers.map(([, state, number]) => [number, state])),
      Object.fromEntries(Object.entries(drawn).map(([number, { text }]) => [number, text]))
    )
    assert.deepStrictEqual(
      numbers.map(([, state]) => state).toSorted(),
      words("vmcp_keepalive_state", "state").toSorted()
    )
  })

  it("has an id for every panel, and room for it", () => {
    const ids = Shipped.dashboard.panels.map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, ids.length)
    const taken = new Set<string>()
    for (const { gridPos, title } of Shipped.dashboard.panels) {
      assert.isAtMost(gridPos.x + gridPos.w, 24, title)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.isFalse(taken.has(`${x},${y}`), title)
          taken.add(`${x},${y}`)
        }
      }
    }
    // Grafana puts each panel into the last row before it, and closes gaps
    const tops = Shipped.dashboard.panels.map(({ gridPos }) => gridPos.y)
    assert.deepStrictEqual(
      tops,
      tops.toSorted((a, b) => a - b)
    )
    const height = Math.max(...Shipped.dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h))
    assert.strictEqual(taken.size, 24 * height)
  })
})

describe("the alerts", () => {
  it("name nothing that does not exist", () => {
    assert.deepStrictEqual(
      Shipped.alerts.flatMap(({ alert, expr }) => unknownIn(expr).map((unknown) => `${alert}: ${unknown}`)),
      []
    )
  })

  it("say in their texts only labels that their series have", () => {
    for (const { alert, annotations, expr } of Shipped.alerts) {
      for (const text of Object.values(annotations)) {
        for (const [, label = ""] of text.matchAll(/\$labels\.(\w+)/g)) assert.include(labelsOf(expr), label, alert)
      }
    }
  })

  it("name in their runbooks only panels of the dashboard, and most name one", () => {
    const named = Shipped.alerts.map(({ annotations }) => Shipped.panelsIn(annotations.runbook))
    assert.includeMembers(
      Shipped.panels.map(({ title }) => title),
      named.flat()
    )
    assert.isAtLeast(named.filter((titles) => titles.length > 0).length, 3)
  })

  it("each have tests in which they fire", () => {
    const tests: unknown = parse(readFileSync(Shipped.alertTestsPath, "utf8"), { merge: true })
    for (const { alert } of Shipped.alerts) assert.include(JSON.stringify(tests), `alertname=\\"${alert}\\"`)
  })
})
