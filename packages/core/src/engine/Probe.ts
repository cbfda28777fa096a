/**
 * How a session is asked whether its server lives: which question, and what to ask when a server does not know it.
 *
 * The questions form a ladder: `ping`, the configured tool, `tools/list`. A server that does not implement a rung
 * (-32601) is alive, and the next rung is latched for that session: a peer that took the error for death rebuilt a
 * healthy session 171 times.
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
  /** pings in a row that met silence */
  silentPings: number
}

/**
 * Back to the policy's own question: it is another one now.
 *
 * @since 0.1.0
 */
export const descend = (ladder: Ladder): void => {
  ladder.latched = undefined
  ladder.silentPings = 0
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
 * Whether a healthy session is probed at all: `auto` has nothing to keep where there is no legacy session.
 *
 * @since 0.1.0
 */
export const isProbed = (method: ProbeMethod, session: Pick<Session<unknown>, "era" | "stateful">): boolean =>
  method === "auto" ? session.era === "legacy" && session.stateful : method !== "none"

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
export const rungOf = (method: ProbeMethod, session: Pick<Session<unknown>, "era">): ProbeRung => {
  if (typeof method === "object") return method.method === "tool" ? toolRung(method.tool) : { _tag: "ping" }
  if (method === "auto" || method === "none") return session.era === "modern" ? { _tag: "discover" } : { _tag: "ping" }
  return { _tag: method }
}

/**
 * The rung above one that the server does not implement.
 *
 * @since 0.1.0
 */
export const nextRung = (method: ProbeMethod, rung: ProbeRung): ProbeRung =>
  rung._tag === "ping" && typeof method === "object" ? toolRung(method.tool) : { _tag: "list-tools" }

/**
 * What is asked in a round: one question, each with the policy's `timeout`; after `fallbackAfter` silent pings in a row the
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
  const isUnknown = evidence._tag === "ErrorAnswer" && evidence.code === methodNotFound
  if (isUnknown) ladder.latched = nextRung(policy.probe, rung)
  if (isFallback) return undefined
  const isSilent = evidence._tag === "TransportFailure" && evidence.reason === "timeout"
  ladder.silentPings = rung._tag === "ping" && isSilent ? ladder.silentPings + 1 : 0
  const { probe } = policy
  if (ladder.silentPings < policy.fallbackAfter || typeof probe !== "object" || probe.method !== "ping")
    return undefined
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
  verdict: Evidence.ofProbe(evidence, { deep: deep || rung._tag === "list-tools", httpOnly: rung._tag === "options" })
})

/**
 * What a question has met that was not answered in time.
 *
 * @since 0.1.0
 */
export const silence: Evidence.Evidence = Evidence.transportFailure("timeout")
