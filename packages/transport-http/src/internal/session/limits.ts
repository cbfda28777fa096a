/**
 * How much a server may make a session over HTTP hold: what every transport bounds, and what is HTTP's own.
 */
import { Limits } from "@vmcp-keepalive/sdk-client/peer"

/** Sizes are in bytes after decompression. What exceeds a bound ends that request or the session, with reason `overflow`. */
export interface HttpLimits extends Limits.Limits {
  /** the id of an event, 16 bytes to 64 KiB: it is remembered and sent back. Default: 1 KiB */
  readonly eventIdBytes: number
  /** lines of one event that say `data:` and nothing more, 64 bytes to 16 MiB. Default: 64 KiB */
  readonly emptyDataBytes: number
  /** ids of events that are remembered, to recognize those that come again, 1 to 10,000. Default: 128 */
  readonly rememberedEvents: number
  /**
   * connections of a session, 8 to 10,000. Default: 64. A quarter of them, 16 at most, are kept for probes, streams and answers
   * to the server; calls beyond the others wait until one of them ends
   */
  readonly connections: number
}

/** What holds where nothing else is said. */
export const defaults: HttpLimits = {
  ...Limits.defaults,
  eventIdBytes: 1024,
  emptyDataBytes: 64 * 1024,
  rememberedEvents: 128,
  connections: 64
}

/** The least and the most that each may be. */
export const ranges: { readonly [Name in keyof HttpLimits]: Limits.Range } = {
  ...Limits.ranges,
  eventIdBytes: [16, 64 * 1024],
  emptyDataBytes: [64, 16 * 1024 * 1024],
  rememberedEvents: [1, 10_000],
  connections: [8, 10_000]
}
