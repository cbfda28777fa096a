/**
 * How much a server may make a session over stdio hold: what every transport bounds, and what is stdio's own.
 */
import { Limits } from "@vmcp-keepalive/sdk-client/peer"

/**
 * Sizes are in bytes. A message is a line of the server's stdout. Its requests that are not answered have twice `messageBytes`
 * together at most, and no more than `serverRequests` answers to them wait for it to read.
 */
export interface StdioLimits extends Limits.Limits {
  /**
   * what waits to be written to a server that does not read, 64 KiB to 1 GiB; a single message may be longer. Default: 16 MiB
   */
  readonly unwrittenBytes: number
}

const mebibyte = 1024 * 1024

/** What holds where nothing else is said. */
export const defaults: StdioLimits = { ...Limits.defaults, unwrittenBytes: 16 * mebibyte }

/** The least and the most that each may be. */
export const ranges: { readonly [Name in keyof StdioLimits]: Limits.Range } = {
  ...Limits.ranges,
  unwrittenBytes: [64 * 1024, 1024 * mebibyte]
}
