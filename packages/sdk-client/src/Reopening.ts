/**
 * When a stream is opened again that a session keeps open, so that its server can tell of what it does of its own accord: the standing
 * GET of Streamable HTTP, `subscriptions/listen` of MCP 2026-07-28. At once after an honest life, with backoff where opening fails.
 */
import { Evidence } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"

/**
 * How one connection ended, or why there was none.
 *
 * @since 0.1.0
 */
export type Outcome =
  | { readonly _tag: "Ended"; readonly lived: number; readonly events: number; readonly retry: number | undefined }
  | { readonly _tag: "Refused"; readonly evidence: Evidence.Refused }
  | { readonly _tag: "Failed"; readonly evidence: Evidence.Evidence }

/**
 * What is remembered between two connections.
 *
 * @since 0.1.0
 */
export interface Memory {
  /** whether it has ever been open */
  readonly opened: boolean
  /** how many openings in a row have failed */
  readonly failures: number
  /** how many connections in a row have ended in haste */
  readonly hasty: number
  /** whether this outage has been reported */
  readonly reported: boolean
}

/**
 * Nothing has happened.
 *
 * @since 0.1.0
 */
export const initial: Memory = { opened: false, failures: 0, hasty: 0, reported: false }

/**
 * What to do next: wait and open again, or leave it be for good.
 *
 * @since 0.1.0
 */
export interface Step {
  readonly memory: Memory
  /** in milliseconds; `undefined`: for good */
  readonly delay: number | undefined
  readonly observe: Evidence.Evidence | undefined
}

/** A life that makes an end honest, in milliseconds: proxies cut what is idle for 5 s and more. */
const honestLife = 3000

/** The pause where every connection brings something and ends in haste, in milliseconds. */
const busyPause = 250

const backoff = { initial: 1000, cap: 30_000 }
/** a server that has not noticed the end of the last stream refuses the next one: it notices soon */
const conflictInitial = 100

/** Statuses with which a server without sessions says that it has no such stream. */
const notOffered = new Set([400, 404, 406, 415, 501])

/** a server that does not know it does not offer it, and one that did before is another server now */
const unknownMethod = -32601

/**
 * Decides what follows an outcome; `random` is in [0, 1).
 *
 * @since 0.1.0
 */
export const step = (memory: Memory, outcome: Outcome, random: number): Step => {
  switch (outcome._tag) {
    case "Ended":
      return afterEnd(memory, outcome, random)
    case "Refused": {
      const { evidence } = outcome
      const absent =
        evidence.status === 405 || (!evidence.withSession && !memory.opened && notOffered.has(evidence.status))
      // A session whose stream is no more offered is not what it was: the server has become one that knows no sessions.
      const gone = memory.opened && evidence.withSession && evidence.status === 405
      if (absent) return { memory, delay: undefined, observe: gone ? evidence : undefined }
      const asked = evidence.retryAfter === undefined ? 0 : Duration.toMillis(evidence.retryAfter)
      const first = evidence.status === 409 ? conflictInitial : backoff.initial
      const observed =
        Evidence.isSessionUnknown(evidence) ||
        evidence.status === 401 ||
        (memory.opened && evidence.status >= 500 && !Evidence.isBusy(evidence))
      return failed(memory, Math.max(asked, delayAfter(memory.failures, first, random)), evidence, observed)
    }
    case "Failed":
      if (outcome.evidence._tag === "ErrorAnswer" && outcome.evidence.code === unknownMethod)
        return { memory, delay: undefined, observe: memory.opened ? outcome.evidence : undefined }
      return failed(memory, delayAfter(memory.failures, backoff.initial, random), outcome.evidence, memory.opened)
  }
}

const afterEnd = (memory: Memory, end: Outcome & { readonly _tag: "Ended" }, random: number): Step => {
  const hasty = end.lived >= honestLife ? 0 : end.events > 0 ? 1 : memory.hasty + 1
  // What ends in haste for the first time costs no delay: where it opens again at once, nothing is lost.
  const delay =
    memory.hasty === 0 || hasty === 0 ? 0 : hasty === 1 ? busyPause : delayAfter(hasty - 2, backoff.initial, random)
  return {
    memory: { opened: true, failures: 0, hasty, reported: false },
    delay: Math.max(delay, end.retry ?? 0),
    observe: undefined
  }
}

const failed = (memory: Memory, delay: number, evidence: Evidence.Evidence, observed: boolean): Step => ({
  memory: { ...memory, failures: memory.failures + 1, reported: memory.reported || observed },
  delay,
  observe: observed && !memory.reported ? evidence : undefined
})

/** Exponential, up to a cap, of which the upper half is drawn from: many clients must not come back together. */
const delayAfter = (failures: number, first: number, random: number): number =>
  Math.min(first * 2 ** failures, backoff.cap) * (0.5 + random / 2)
