/** Faults × wires × frameworks. The frameworks meet a fault of one server together, and are judged one by one. */
import { Effect } from "effect"
import { describe, it } from "vitest"
import { type Fault, faults } from "./faults.ts"
import type { Framework, Told } from "./framework.ts"
import { doors, frameworks } from "./frameworks.ts"
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
  /** which of its calls the servers have executed more than once */
  readonly doubled: ReadonlyArray<string>
}

type Group = ReadonlyMap<Framework, Played>

const membersOf = (way: Hosts.Way) => (way === "kept" ? doors : frameworks)

const play = (way: Hosts.Way, fault: Fault, wire: Stage.Wire): Promise<Group> =>
  Effect.gen(function* () {
    const stage = yield* Stage.make(wire, fault.staleSession)
    const hosts = Hosts.make(membersOf(way), way, stage.server, fault.policy)
    const seen = yield* fault.play(stage, hosts)
    const executions = (yield* stage.executions).map((execution) => JSON.stringify(execution))
    const repeated = executions.filter((execution, index) => executions.indexOf(execution) < index)
    const playedBy = ({ name }: Framework, index: number): Played => ({
      during: seen.during.get(name) ?? never,
      after: seen.after.get(name) ?? never,
      told: hosts.told(name),
      doubled: repeated.filter((execution) => isOf(execution, name, index))
    })
    return new Map(membersOf(way).map((framework, index) => [framework, playedBy(framework, index)]))
  }).pipe(Effect.scoped, Effect.runPromise)

const never: Hosts.Outcome = { _tag: "Hanging" }

/** Messages have the framework's name in front, durations its number at their end. */
const isOf = (execution: string, name: string, index: number): boolean =>
  execution.includes(`"${name} `) || Number(/"ms":(\d+)/.exec(execution)?.[1]) % 100 === index

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
        for (const framework of membersOf(way)) {
          const cell = { framework, fault, wire }
          it(`${framework.name}: ${promise(cell)}`, async () => {
            playing ??= play(way, fault, wire)
            const played = (await playing).get(framework)
            if (played === undefined) throw new Error("It was not played")
            check(cell, played)
          })
        }
      })
}
