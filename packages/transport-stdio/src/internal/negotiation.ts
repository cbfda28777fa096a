/**
 * Which era a server is of that runs as a child process, where the client asks it (`server/discover`): what is concluded from how its
 * first child behaves, and what is remembered.
 *
 * An answer is the server's word. Its silence is not: a child that starts slowly is silent as well. And an exit may be one of a server of
 * the legacy era that takes nothing before `initialize`. Both are found out by one more child, which starts when the first has ended.
 */
import type { Connector, Evidence } from "@vmcp-keepalive/core"
import type { Ending } from "./childProcess.ts"
import type { Handshake } from "./handshake.ts"

/** How a child is connected to. */
export interface Way {
  /** of which era the server is, where it need not be asked */
  readonly known: "legacy" | undefined
  /** how long an answer to `server/discover` is waited for, in milliseconds, before `initialize` is sent; `undefined`: without a bound */
  readonly patience: number | undefined
}

/** Of a server of which nothing is known: long enough for most to have started. */
export const asking: Way = { known: undefined, patience: 10_000 }

/** Of one that is of the legacy era. */
export const legacy: Way = { known: "legacy", patience: undefined }

/** Of one that answers, but was slow: it is waited for as long as the attempt may last. */
const patiently: Way = { known: undefined, patience: undefined }

/** Why a session did not open with a child that was started. */
export interface NotOpened {
  readonly evidence: Evidence.Evidence
  readonly handshake: Handshake
  /** how it ended, if it has */
  readonly ending: Ending | undefined
}

/**
 * How the next child is connected to, after one that was asked and whose opening failed; `undefined` where the attempt has failed.
 * A signal is nothing that a server says: the system, or somebody, has killed it.
 */
export const next = ({ ending, evidence, handshake }: NotOpened): Way | undefined => {
  if (handshake.isAnsweredLate) return patiently
  if (!handshake.isUnanswered) return undefined
  if (evidence._tag === "ErrorAnswer" && refusals.has(evidence.code)) return patiently
  return ending?._tag === "Exited" && ending.code < signalled ? legacy : undefined
}

/** With which a server of the modern era answers `initialize`: it does not speak that revision, or does not know the method. */
const refusals: ReadonlySet<number> = new Set([-32022, -32601])

/** A shell that waits for a server exits with this and the number of the signal that the server was killed by. */
const signalled = 128

/** How long it is remembered that a server is of the legacy era, in milliseconds. */
const day = 24 * 3_600_000

/** What is known of the server at that time, in monotonic milliseconds. */
export const recall = ({ era }: Connector.SessionHost, now: number): Way =>
  era?.legacyUntil !== undefined && era.legacyUntil > now ? legacy : asking

/** The server has shown that it is of the legacy era. */
export const remember = ({ era }: Connector.SessionHost, now: number): void => {
  if (era !== undefined) era.legacyUntil = now + day
}

/** It has shown that it may not be. */
export const forget = ({ era }: Connector.SessionHost): void => {
  if (era !== undefined) era.legacyUntil = undefined
}
