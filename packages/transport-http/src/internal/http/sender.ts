/**
 * What sends HTTP requests: the narrow port between a session and its sockets. `connections.ts` and `dispatcher.ts` know of each
 * request whether a byte of it left; `fetch.ts` sends through a `fetch` of the user's, and knows less.
 */

/** One request. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "DELETE" | "OPTIONS"
  readonly url: URL
  /** names in lower case */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /**
   * Whether it may be sent again where a connection that has served before ends before a response begins: a server may close one
   * at any moment that it takes for idle (RFC 9112, 9.3.1). Never a request that runs something.
   */
  readonly repeatable: boolean
}

/** The head of a response. */
export interface Head {
  readonly status: number
  /** a header by its name in lower case; several of one name are joined with commas */
  readonly header: (name: string) => string | undefined
}

/** The media type of a response, without its parameters. */
export const mediaType = ({ header }: Head): string | undefined => {
  const value = header("content-type")
  if (value === undefined) return undefined
  const end = value.indexOf(";")
  return (end === -1 ? value : value.slice(0, end)).trim().toLowerCase()
}

/** How far a request had come when it failed: whether nothing of it can have left, or something may have, or nobody knows. */
export type Progress = "unsent" | "sent" | "unknown"

/** Who hears of a response. Exactly one of `onEnd` and `onError` comes, at the end, unless it was aborted. */
export interface Receiver {
  /** Asked last, directly before the first byte leaves: where it says no, none does, and the request ends as `withheld`. */
  readonly maySend: () => boolean
  /** from now on a byte of the request may leave */
  readonly onSending: () => void
  readonly onHead: (head: Head) => void
  readonly onData: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: (error: unknown, progress: Progress) => void
}

/** What a request ends with that its receiver did not let go. */
export const withheld: Error = Object.assign(new Error("It was not to be sent any more"), { code: "ERR_WITHHELD" })

/** A request under way. */
export interface Transmission {
  /** ends it: the receiver hears no more, and the socket is freed */
  readonly abort: () => void
  /** asks for no more data, until `resume` */
  readonly pause: () => void
  readonly resume: () => void
}

/** See the module. */
export interface Sender {
  readonly send: (request: HttpRequest, receiver: Receiver) => Transmission
  /** ends every connection that is left */
  readonly close: () => void
}
