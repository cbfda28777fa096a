/**
 * Which events of a lane are told to observers, under the id of the backend that it belongs to.
 *
 * A backend of the fleet has one state, which its own events tell. Beside it, each host has a session of its own with it: what counts
 * calls and probes is summed up over all of them, and what says how one session is (states, attempts, what became of sessions, lists)
 * is that of the fleet's backend alone. Else gauges would show now one session, now another, and each host that comes would be counted
 * as a reconnection.
 */
import type { KeepaliveEvent } from "@vmcp-keepalive/core"

/** See the module. */
export const isCounted = ({ _tag }: KeepaliveEvent.KeepaliveEvent): boolean => counted.has(_tag)

/** Whether it tells what becomes of a call. */
export const isOfCall = ({ _tag }: KeepaliveEvent.KeepaliveEvent): boolean => ofCalls.has(_tag)

type Tags = ReadonlySet<KeepaliveEvent.KeepaliveEvent["_tag"]>

const ofCalls: Tags = new Set(["CallStarted", "CallQueued", "CallDequeued", "CallSettled", "ReplayDenied"])

const counted: Tags = new Set([...ofCalls, "ProbeSent", "ProbeSucceeded", "ProbeFailed", "ProbeSuppressed"])
