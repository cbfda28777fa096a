/** The faults in force: who is affected, how often each has struck, and who waits for it to. */
import { Deferred, Effect } from "effect"
import type { Fault, Facts } from "../Fault.ts"
import { selects } from "../Fault.ts"

/** When a fault actually affected bytes or a connection. */
export interface Mark {
  readonly fault: Fault
  /** `performance.now()` of the strike. */
  readonly at: number
}

/** A fault in force on one proxy. */
export interface Injection {
  readonly fault: Fault
  readonly struck: Deferred.Deferred<Mark>
  /** Exchanges it has struck, so that each counts once. */
  readonly victims: WeakSet<object>
  remaining: number
}

export interface Injections {
  readonly marks: ReadonlyArray<Mark>
  readonly add: (fault: Fault) => Injection
  readonly remove: (injection: Injection) => void
  /** Everything in force, those that have struck often enough included: their victims stay affected. */
  readonly all: () => ReadonlyArray<Injection>
  /** Those that may strike, or have struck, this exchange; the most recent first, as it overrides the earlier ones. */
  readonly applicable: (facts: Facts, victim: object) => ReadonlyArray<Injection>
  /** Records a strike, once a victim. */
  readonly strike: (injection: Injection, victim: object) => void
}

const limit = (fault: Fault) => ("times" in fault ? (fault.times ?? Infinity) : Infinity)

/** The selector of a fault; `Refuse` has none. */
const selectorOf = (fault: Fault) => ("on" in fault ? fault.on : undefined)

/** Whether a fault concerns the proxy's connections as such, also those without a request. */
export const isUniversal = (fault: Fault) => selectorOf(fault) === undefined && limit(fault) === Infinity

/** Of the marks, the last so many are remembered. */
export const make = (remembered: number): Injections => {
  let inForce: ReadonlyArray<Injection> = []
  const marks: Array<Mark> = []
  return {
    marks,
    all: () => inForce,
    add: (fault) => {
      const injection: Injection = {
        fault,
        struck: Deferred.makeUnsafe<Mark>(),
        victims: new WeakSet(),
        remaining: limit(fault)
      }
      inForce = [injection, ...inForce]
      return injection
    },
    remove: (injection) => {
      inForce = inForce.filter((other) => other !== injection)
    },
    applicable: (facts, victim) =>
      inForce.filter(
        ({ fault, remaining, victims }) => (remaining > 0 || victims.has(victim)) && selects(selectorOf(fault), facts)
      ),
    strike: (injection, victim) => {
      if (injection.victims.has(victim)) return
      injection.victims.add(victim)
      injection.remaining--
      const mark: Mark = { fault: injection.fault, at: performance.now() }
      marks.push(mark)
      if (marks.length > remembered) marks.shift()
      // Not at once: a waiter would resume within the strike, before the fault has done what the mark says.
      queueMicrotask(() => Deferred.doneUnsafe(injection.struck, Effect.succeed(mark)))
    }
  }
}
