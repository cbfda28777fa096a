/**
 * Bodies of requests: no longer, and with no more in it, than a message of a server's may have.
 */
import { Limits, Message } from "@vmcp-keepalive/sdk-client/peer"

/** Reads it no further than it may be long; `undefined` where it is longer. */
export const read = async (body: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer> | undefined> => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > Limits.defaults.messageBytes) return undefined
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

/** Whether it would take too long to parse: everybody else would wait. */
export const isCostly = ({ buffer, byteLength, byteOffset }: Uint8Array): boolean =>
  Message.excess(Buffer.from(buffer, byteOffset, byteLength), Limits.defaults) !== undefined

/** The answer to one that is too long, or too costly. */
export const tooLarge = (): Response =>
  Response.json(
    { jsonrpc: "2.0", id: null, error: { code: -32000, message: "Content Too Large" } },
    { status: 413, headers: { connection: "close" } }
  )
