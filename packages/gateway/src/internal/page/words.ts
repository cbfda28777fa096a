/**
 * States, reasons and events in plain words. Nothing that a server wrote is in them, but the names of what it lists, which are in no
 * line of this module either.
 */
import type { ConnectionState, FailureReason, KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Tone } from "./wire.ts"

export interface StateWords {
  readonly word: string
  readonly tone: Tone
}

export const states: { readonly [Of in ConnectionState.Tag]: StateWords } = {
  Idle: { word: "Idle", tone: "off" },
  Connecting: { word: "Connecting", tone: "warn" },
  Connected: { word: "Connected", tone: "ok" },
  Unhealthy: { word: "Unhealthy", tone: "warn" },
  Disconnected: { word: "Disconnected", tone: "bad" },
  CircuitOpen: { word: "Circuit open", tone: "bad" },
  NeedsAuth: { word: "Needs credentials", tone: "bad" },
  Isolated: { word: "Isolated", tone: "off" },
  Closed: { word: "Closed", tone: "off" }
}

const reasons: { readonly [Of in FailureReason.FailureReason]: string } = {
  timeout: "It did not answer in time",
  refused: "Nobody listens at its address",
  reset: "The connection was closed before it answered",
  dns: "Its host name cannot be resolved",
  tls: "The TLS handshake failed",
  stream_cut: "Its answer was cut off",
  http_4xx: "It refused the request",
  http_5xx: "It answered with a server error",
  busy: "It asked for more time",
  session_lost: "It did not know the session any more",
  upstream: "A gateway answered for a server behind it that is down",
  auth: "It rejected the credentials",
  spawn: "Its process could not be started",
  process_exit: "Its process ended",
  protocol: "What it answered is not MCP",
  overflow: "It sent more than a limit allows",
  overloaded: "It has as many calls as it may have",
  setup: "The setup of its session failed",
  tool_missing: "The tool that probes it is not in its list",
  closed: "It was closed on purpose",
  unknown: "It failed, and the transport does not know how"
}

/** Why, with what was seen. */
export const because = (reason: FailureReason.FailureReason, detail: string | undefined): string =>
  detail === undefined || detail === "" ? reasons[reason] : `${reasons[reason]} (${detail})`

/** The same, as the rest of a sentence. */
const lower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)

export interface Told {
  readonly text: string
  readonly tone: Tone
  /** whether it is worth to be read out */
  readonly important: boolean
}

const line = (text: string, tone: Tone, important = false): Told => ({ text, tone, important })

const plural = (count: number, one: string): string => `${count} ${count === 1 ? one : `${one}s`}`

const notices: { readonly [Of in KeepaliveEvent.Notice]: string } = {
  stream_lost: "Its stream of notifications broke, and is being opened again",
  stream_restored: "Its stream of notifications is open again",
  answer_resumed: "An answer broke off, and was resumed",
  garbage: "It sent what is no message of MCP"
}

const outcomes: { readonly [Of in KeepaliveEvent.CallOutcome]: string } = {
  ok: "ended well",
  failed: "failed",
  rejected: "was rejected: nothing was executed",
  outcome_unknown: "ended without an answer: it may have been executed"
}

/** A line of the log, or none for what is steady or goes without saying. */
export const tell = (event: KeepaliveEvent.KeepaliveEvent): Told | undefined => {
  switch (event._tag) {
    case "StateChanged": {
      if (event.from._tag === event.to._tag) return undefined
      const { tone, word } = states[event.to._tag]
      const reason =
        event.to._tag === "Connecting" || event.to._tag === "Connected" ? "" : `: ${lower(whyOf(event.to) ?? "")}`
      const isNews = event.to._tag !== "Connecting" && event.to._tag !== "Closed"
      return line(`${word}${reason === ": " ? "" : reason}`, tone, isNews)
    }
    case "AttemptFailed":
      return line(`Attempt failed: ${lower(because(event.reason, event.detail))}`, "bad")
    case "ProbeFailed":
      return line(`Probe failed: ${lower(because(event.reason, event.detail))}`, "warn")
    case "Stabilized":
      return line("Stable: backoff and circuit start afresh", "ok")
    case "SessionExpired":
      return line(`Session ${event.generation} has reached its age: another takes its place`, "off")
    case "SessionDraining":
      return line(`Session ${event.generation} takes no more calls`, "off")
    case "SessionClosed":
      return line(`Session ${event.generation} is over: ${lower(because(event.reason, event.detail))}`, "off")
    case "Reconfigured":
      return line(
        `Configured anew: ${[...(event.connection ? ["connection"] : []), ...(event.policy ? ["policy"] : [])].join(" and ")}`,
        "off",
        true
      )
    case "ReplayDenied":
      return line("A call was not run again: the replay budget is used up", "warn")
    case "CallSettled":
      return event.outcome === "ok"
        ? event.replayed
          ? line("A call was run again, and ended well", "ok")
          : undefined
        : line(`A call ${outcomes[event.outcome]}`, event.outcome === "failed" ? "warn" : "bad")
    case "ListChanged": {
      const parts = [
        ...(event.added.length > 0 ? [`${event.added.length} came`] : []),
        ...(event.removed.length > 0 ? [`${event.removed.length} went`] : []),
        ...(event.changed.length > 0 ? [`${event.changed.length} changed`] : [])
      ]
      return line(`Its ${event.kind}: ${parts.join(", ")}`, "off")
    }
    case "Noticed":
      return line(
        event.count > 1 ? `${notices[event.notice]} (${event.count} times)` : notices[event.notice],
        event.notice === "garbage" || event.notice === "stream_lost" ? "warn" : "off"
      )
    default:
      return undefined
  }
}

/** Which process of a cluster keeps a backend from now on, or that none does. */
export const kept = (owner: string | null): Told =>
  owner === null ? line("No process keeps it now", "warn") : line(`Kept by ${owner} now`, "off", true)

/** Why a state is what it is, in one line; `undefined` where nothing is wrong. `detail` is what was seen last. */
export const whyOf = (state: ConnectionState.ConnectionState, detail?: string): string | undefined => {
  switch (state._tag) {
    case "Connected":
      return undefined
    case "Unhealthy":
      return state.held
        ? `A long call is in flight, which excuses ${plural(state.failures, "failed probe")}. ${because(state.reason, detail)}`
        : `${state.failures === 1 ? "A probe" : `${state.failures} probes in a row`} failed. ${because(state.reason, detail)}`
    case "Connecting":
      return state.reason === undefined
        ? "Its first session is being opened"
        : `${state.trial ? "A trial" : `Attempt ${state.attempt}`} is running. ${because(state.reason, detail)}`
    case "Disconnected":
    case "CircuitOpen":
      return because(state.reason, detail)
    case "NeedsAuth":
      return because("auth", detail)
    case "Isolated":
      return "An operator isolated it"
    case "Idle":
      return "Asleep: no call needs it"
    case "Closed":
      return "It is being removed"
  }
}
