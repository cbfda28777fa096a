/**
 * The states of the last five minutes, bounded however often they change: a state that lasts less than the resolution is drawn as long
 * as that, and of several in so short a time the worst is kept. So an outage is seen, however short, and no more segments are kept than
 * can be told apart on a screen.
 */
import type { ConnectionState } from "@vmcp-keepalive/core"
import type { Segment } from "./wire.ts"

/** how far back it reaches, in milliseconds */
export const span = 300_000
/** the least length of a segment, in milliseconds */
export const resolution = 2000
/** how many segments there are at most: those that begin within the span, and the one before them */
export const limit = span / resolution + 2

const severity: { readonly [Of in ConnectionState.Tag]: number } = {
  Connected: 0,
  Idle: 1,
  Connecting: 2,
  Isolated: 3,
  Closed: 4,
  Unhealthy: 5,
  Disconnected: 6,
  CircuitOpen: 7,
  NeedsAuth: 8
}

/** The strip with another state from now on. */
export const add = (strip: ReadonlyArray<Segment>, state: ConnectionState.Tag, at: number): ReadonlyArray<Segment> => {
  const last = strip.at(-1)
  if (last === undefined) return [{ at, state }]
  if (last.state === state) return strip
  const kept = since(strip, at)
  const before = kept.at(-2)
  // what is there for less than the resolution
  if (at - last.at < resolution) {
    const isNotYet = at < last.at
    if (isNotYet || severity[state] > severity[last.state]) {
      const rest = kept.slice(0, -1)
      return before?.state === state ? rest : [...rest, { at: last.at, state }]
    }
    return [...kept, { at: last.at + resolution, state }]
  }
  return [...kept, { at, state }]
}

/** What of it is still within the span. */
export const since = (strip: ReadonlyArray<Segment>, now: number): ReadonlyArray<Segment> => {
  const first = strip.findLastIndex(({ at }) => at <= now - span)
  return first <= 0 ? strip : strip.slice(first)
}
