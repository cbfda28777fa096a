/** Faults × wires × frameworks. The frameworks meet a fault of one server together, and are judged one by one. */
import { Effect } from "effect"
import { describe, it } from "vitest"
import { type Fault, faults, type Seen } from "./faults.ts"
import type { Framework, Told } from "./framework.ts"
import { frameworks } from "./frameworks.ts"
import * as Hosts from "./hosts.ts"
import * as Stage from "./stage.ts"

export interface Cell {
  readonly framework: Framework
  readonly fault: Fault
  readonly wire: Stage.Wire
}

/** How a cell went. */
export interface Played {
  readonly during: Hosts.Outcome
  readonly after: Hosts.Outcome
  /** what the framework's client was told beside; nothing where it never was connected */
  readonly told: ReturnType<Told["now"]> | undefined
  /** messages and long calls that the servers have executed more often than they were asked to */
  readonly doubled: ReadonlyArray<string>
}

type Group = (framework: string) => Played

const play = (way: Hosts.Way, fault: Fault, wire: Stage.Wire): Promise<Group> =>
  Effect.gen(function* () {
    const stage = yield* Stage.make(wire, fault.staleSession)
    const hosts = Hosts.make(way, stage.server, fault.policy)
    const seen = yield* fault.play(stage, hosts)
    const doubled = doubledOf(yield* stage.executions)
    const told = new Map(frameworks.map(({ name }) => [name, hosts.told(name)]))
    return (name: string): Played => ({ ...outcomesOf(seen, name), told: told.get(name), doubled })
  }).pipe(Effect.scoped, Effect.runPromise)

const outcomesOf = ({ after, during }: Seen, name: string) => {
  const never: Hosts.Outcome = { _tag: "Hanging" }
  return { during: during.get(name) ?? never, after: after.get(name) ?? never }
}

/** Each message is one framework's own; the long call is made by each of them once. */
const doubledOf = (executions: Effect.Success<Stage.Stage["executions"]>): ReadonlyArray<string> => {
  const counts = new Map<string, number>()
  for (const execution of executions) {
    const key = JSON.stringify(execution)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const allowed = (key: string) => (key.includes('"slow"') ? frameworks.length : 1)
  return [...counts].flatMap(([key, count]) => (count > allowed(key) ? [key] : []))
}

/** A test for each cell. Groups are played beside each other as far as `maxConcurrency` goes. */
export const matrix = (
  way: Hosts.Way,
  promise: (cell: Cell) => string,
  check: (cell: Cell, played: Played) => void
): void => {
  for (const fault of faults)
    for (const wire of fault.wires)
      describe.concurrent(`${fault.name}, ${wire}`, () => {
        let playing: Promise<Group> | undefined
        for (const framework of frameworks) {
          const cell = { framework, fault, wire }
          it(`${framework.name}: ${promise(cell)}`, async () => {
            playing ??= play(way, fault, wire)
            check(cell, (await playing)(framework.name))
          })
        }
      })
}
