/**
 * How a session is asked whether its server lives: when, which question, and what to ask when a server does not know it.
 *
 * The questions form a ladder: that of the era (`ping`, in MCP 2026-07-28 `server/discover`), the configured tool, `tools/list`. A
 * server that does not implement a rung (-32601) is alive, and the next rung is latched for that session: a peer that took the
 * error for death rebuilt a healthy session 171 times. Only `server/discover` is known to every server of its era: one that does
 * not know it is of another era now, and the session is lost.
 */
import * as Evidence from "../Evidence.ts"
import type { ProbeRung, Session } from "../Connector.ts"
import type { KeepalivePolicy, ProbeMethod, ToolProbe } from "../KeepalivePolicy.ts"

/**
 * Where a session stands on the ladder. It belongs to the session and ends with it.
 *
 * @since 0.1.0
 */
export interface Ladder {
  /** the rung in use, once it is not the policy's */
  latched: ProbeRung | undefined
  /** questions of the era in a row that met silence */
  silent: number
}

/**
 * Back to the policy's own question: it is another one now.
 *
 * @since 0.1.0
 */
export const descend = (ladder: Ladder): void => {
  ladder.latched = undefined
  ladder.silent = 0
}

/**
 * What a probe brought.
 *
 * @since 0.1.0
 */
export interface ProbeResult {
  readonly method: ProbeRung["_tag"]
  readonly verdict: Evidence.Verdict
  /** how many questions the round took, each with the whole timeout */
  readonly asked: 1 | 2
}

const methodNotFound = -32601

/**
 * When a healthy session is probed: always, only while a call waits for its answer, or never.
 *
 * @since 0.1.0
 */
export type Attention = "always" | "inUse" | "never"

/**
 * `auto` keeps alive what lives over there for us alone. Elsewhere there is nothing to keep, and some bridges start a process for
 * every question: it asks only while somebody waits for an answer.
 *
 * @since 0.1.0
 */
export const attentionOf = (method: ProbeMethod, session: Pick<Session<unknown>, "stateful">): Attention => {
  if (method === "none") return "never"
  return method === "auto" && !session.stateful ? "inUse" : "always"
}

/** The rung of the ladder that a configured tool stands for. */
const toolRung = (tool: ToolProbe): ProbeRung => ({
  _tag: "tool",
  name: tool.name,
  arguments: tool.arguments ?? {}
})

/**
 * The question that the policy asks of a session. A doubt is decided by a question also where `none` is kept up.
 *
 * @since 0.1.0
 */
export const rungOf = (method: ProbeMethod, { era }: Pick<Session<unknown>, "era">): ProbeRung => {
  if (typeof method === "object") return method.method === "tool" ? toolRung(method.tool) : ofEra[era]
  switch (method) {
    case "auto":
    case "none":
    case "ping":
    case "discover":
      return ofEra[era]
    case "list-tools":
    case "options":
      return { _tag: method }
  }
}

/** `ping` and `discover` name one question, which each era asks in its own way and refuses in the other's. */
const ofEra = { legacy: { _tag: "ping" }, modern: { _tag: "discover" } } as const

const isOfEra = ({ _tag }: ProbeRung): boolean => _tag === "ping" || _tag === "discover"

/**
 * Whether a session that has opened is asked before callers get it. The handshake of the modern era is that era's own question.
 *
 * @since 0.1.0
 */
export const isAskedFirst = (method: ProbeMethod, session: Pick<Session<unknown>, "era" | "stateful">): boolean =>
  attentionOf(method, session) === "always" && rungOf(method, session)._tag !== "discover"

/**
 * The rung above one that the server does not implement.
 *
 * @since 0.1.0
 */
export const nextRung = (method: ProbeMethod, rung: ProbeRung): ProbeRung =>
  isOfEra(rung) && typeof method === "object" ? toolRung(method.tool) : { _tag: "list-tools" }

/**
 * What is asked in a round: one question, each with the policy's `timeout`; after `fallbackAfter` of them in a row that met silence the
 * configured tool is asked in the same round, before a failure is counted, and stays in use.
 *
 * @since 0.1.0
 */
export interface Question {
  readonly rung: ProbeRung
  readonly deep: boolean
  /** whether it is the second of its round */
  readonly isFallback: boolean
}

/**
 * The question that a round begins with.
 *
 * @since 0.1.0
 */
export const begin = (
  session: Pick<Session<unknown>, "era">,
  ladder: Ladder,
  policy: Pick<KeepalivePolicy, "probe">,
  deep: boolean
): Question => ({
  rung: deep ? { _tag: "list-tools" } : (ladder.latched ?? rungOf(policy.probe, session)),
  deep,
  isFallback: false
})

/**
 * Takes what a question has met into the ladder: the question that follows in the same round, where there is one.
 *
 * @since 0.1.0
 */
export const take = (
  ladder: Ladder,
  policy: Pick<KeepalivePolicy, "probe" | "fallbackAfter">,
  { deep, isFallback, rung }: Question,
  evidence: Evidence.Evidence
): Question | undefined => {
  if (deep) return undefined
  const isUnknown = evidence._tag === "ErrorAnswer" && evidence.code === methodNotFound && rung._tag !== "discover"
  if (isUnknown) ladder.latched = nextRung(policy.probe, rung)
  if (isFallback) return undefined
  const isSilent = evidence._tag === "TransportFailure" && evidence.reason === "timeout"
  ladder.silent = isOfEra(rung) && isSilent ? ladder.silent + 1 : 0
  const { probe } = policy
  if (ladder.silent < policy.fallbackAfter || typeof probe !== "object" || probe.method !== "ping") return undefined
  ladder.latched = toolRung(probe.tool)
  return { rung: ladder.latched, deep, isFallback: true }
}

/**
 * What a round has come to with its last question.
 *
 * @since 0.1.0
 */
export const resultOf = ({ deep, isFallback, rung }: Question, evidence: Evidence.Evidence): ProbeResult => ({
  asked: isFallback ? 2 : 1,
  method: rung._tag,
  verdict: Evidence.ofProbe(evidence, {
    deep: deep || rung._tag === "list-tools",
    httpOnly: rung._tag === "options",
    discover: rung._tag === "discover"
  })
})

/**
 * What a question has met that was not answered in time.
 *
 * @since 0.1.0
 */
export const silence: Evidence.Evidence = Evidence.transportFailure("timeout")
