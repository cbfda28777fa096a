/** The state diagram, drawn from the table: every way that exists, and what leads along it. */
import type { Signal } from "../../src/engine/index.ts"
import * as Table from "./table.ts"

/** States from left to right, for an order that does not depend on the exploration. */
const order = [
  "Idle",
  "Connecting",
  "Connected",
  "Unhealthy",
  "Disconnected",
  "CircuitOpen",
  "NeedsAuth",
  "Isolated"
] as const

const labelOf = (signal: Signal.Signal, kind: string | undefined): string => {
  const of = kind === "attempt" ? "attempt" : "probe"
  switch (signal._tag) {
    case "Succeeded":
      return `${of} succeeded`
    case "Failed":
      return `${of} failed`
    case "Busy":
      return `${of} met busy`
    case "AuthRejected":
      return `${of} rejected twice`
    case "Due":
      return `${signal.timer} due`
    case "Doubt":
      return `doubt: ${signal.doubt}`
    case "Lost":
      return "session lost"
    case "CallStarted":
      return "call"
    case "CallAnswered":
      return "call answered"
    case "Operator":
      return signal.command
    case "Reconfigured":
      return signal.connection ? "another connection" : "another policy"
    case "Jumped":
      return "clock jumped"
    case "Closed":
      return "scope closed"
  }
}

/** What matters for the ways between states: far less than what the table can tell apart. */
const keyOf = ({ model, running }: Table.World): string => {
  const { attention, deep, openings, refreshed, stable, state } = model
  const misses = state._tag === "Unhealthy" ? `${state.failures} ${state.held}` : 0
  return [
    state._tag,
    misses,
    running?.kind,
    running?.deep,
    deep,
    openings > 0,
    model.failures > 0,
    model.busies,
    attention,
    refreshed,
    model.outdated,
    stable
  ].join()
}

const explore = (
  rules: Table.Rules,
  onStep: (before: Table.World, signal: Signal.Signal, after: Table.World) => void
) => {
  const first = Table.begin(rules)
  const known = new Set([keyOf(first)])
  const open = [first]
  for (let here = open.shift(); here; here = open.shift()) {
    for (const signal of Table.signals(here.model, rules.inFlightGrace)) {
      if (!Table.isPossible(here, signal)) continue
      const next = Table.take(rules, here, signal)
      onStep(here, signal, next)
      if (known.has(keyOf(next))) continue
      known.add(keyOf(next))
      open.push(next)
    }
  }
}

/** Mermaid's `stateDiagram-v2`. `isolate` and the end of the scope, which lead away from everywhere, are left out. */
export const draw = (): string => {
  const ways = new Map<string, Set<string>>()
  for (const rules of [
    Table.rules({ circuitFailures: 2, busyAttempts: 2, connect: "lazy", sleepsWhenIdle: true }),
    Table.rules({ circuitFailures: 2, busyAttempts: 2, expires: true, exclusive: true })
  ]) {
    explore(rules, (before, signal, after) => {
      const from = before.model.state._tag
      const to = after.model.state._tag
      if (from === to || to === "Closed" || to === "Isolated") return
      const way = `${from} --> ${to}`
      const labels = ways.get(way) ?? new Set()
      ways.set(way, labels.add(labelOf(signal, before.running?.kind)))
    })
  }
  const lines = order.flatMap((from) =>
    order.flatMap((to) => {
      const labels = ways.get(`${from} --> ${to}`)
      return labels === undefined ? [] : [`  ${from} --> ${to}: ${[...labels].toSorted().join(", ")}`]
    })
  )
  return ["stateDiagram-v2", "  [*] --> Connecting: eager", "  [*] --> Idle: lazy", ...lines].join("\n")
}
