/**
 * Content codings (RFC 9110, 8.4.1): one of gzip, deflate and br, decoded as it comes, so that who reads it can end it where it
 * grows beyond a bound.
 */
import type { Transform } from "node:stream"
import { constants, createBrotliDecompress, createGunzip, createInflate } from "node:zlib"

/** What is asked for. */
export const accepted = "gzip, deflate, br"

/** Takes what was received and hands on what it was before. */
export interface Decoder {
  /** false where no more should come before `onDrain` */
  readonly write: (chunk: Uint8Array) => boolean
  readonly end: () => void
  readonly destroy: () => void
}

/** Who hears of what is decoded. */
export interface Decoded {
  readonly onData: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: () => void
  readonly onDrain: () => void
}

/** For a coding; `undefined` where it is none that is known. */
export const make = (coding: string, decoded: Decoded): Decoder | undefined => {
  const stream = streamOf(coding)
  if (stream === undefined) return undefined
  stream.on("data", decoded.onData)
  stream.on("end", decoded.onEnd)
  stream.on("error", decoded.onError)
  stream.on("drain", decoded.onDrain)
  return {
    write: (chunk) => stream.write(chunk),
    end: () => void stream.end(),
    destroy: () => void stream.destroy()
  }
}

/** Whether a header names a coding at all. */
export const isEncoded = (coding: string | undefined): coding is string =>
  coding !== undefined && coding.trim() !== "" && coding.trim().toLowerCase() !== "identity"

// Flushed at each chunk: an event that was sent is an event that is read.
const zlib = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }

const streamOf = (coding: string): Transform | undefined => {
  switch (coding.trim().toLowerCase()) {
    case "gzip":
    case "x-gzip":
      return createGunzip(zlib)
    case "deflate":
      return createInflate(zlib)
    case "br":
      return createBrotliDecompress({
        flush: constants.BROTLI_OPERATION_FLUSH,
        finishFlush: constants.BROTLI_OPERATION_FLUSH
      })
    default:
      return undefined
  }
}
