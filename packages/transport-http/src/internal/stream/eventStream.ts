/**
 * Reads an event stream (WHATWG HTML, 9.2.6) from the bytes of a body, within bounds. A reader of our own, since each bound must
 * hold where the bytes are: a line that never ends, data without content, an id of megabytes.
 */
import type { Buffer } from "node:buffer"
import { asBuffer, Bytes } from "../http/bytes.ts"

/** One complete event. */
export interface ServerSentEvent {
  /** `undefined` where it has none of its own */
  readonly id: string | undefined
  /** the type; `undefined` where it is a message */
  readonly type: string | undefined
  /** `undefined` where it has no data */
  readonly data: Buffer | undefined
}

/** How much of it there may be, in bytes. */
export interface Bounds {
  /** data of one event, and one line */
  readonly messageBytes: number
  /** an id */
  readonly eventIdBytes: number
  /** lines of one event that say `data:` and nothing more */
  readonly emptyDataBytes: number
}

/** Who hears of it. */
export interface Handlers {
  readonly onEvent: (event: ServerSentEvent) => void
  /** how long the server asks to wait before the stream is opened again, in milliseconds */
  readonly onRetry: (milliseconds: number) => void
  /** a comment came: what a server writes to keep the stream open */
  readonly onComment?: (() => void) | undefined
}

const newline = 0x0a
const carriageReturn = 0x0d
const colon = 0x3a
const space = 0x20

/** See the module. */
export class EventStreamReader {
  readonly #bounds: Bounds
  readonly #handlers: Handlers
  /** the line that has begun in an earlier chunk */
  readonly #line = new Bytes()
  /** the data of the event that has begun, where it does not lie in one line of the chunk that is read */
  readonly #data = new Bytes()
  /** the one line of data so far, and whether it is a slice of the chunk that is read or of nothing else */
  #slice: Buffer | undefined = undefined
  #isOwn = false
  #hasData = false
  #emptyBytes = 0
  #id: string | undefined = undefined
  #type: string | undefined = undefined
  #endedWithReturn = false
  #isFirstLine = true
  #exceeded: string | undefined = undefined

  constructor(bounds: Bounds, handlers: Handlers) {
    this.#bounds = bounds
    this.#handlers = handlers
  }

  /** what exceeded a bound, once something has: nothing is read from then on */
  get exceeded(): string | undefined {
    return this.#exceeded
  }

  /** Takes the next bytes; false once a bound is exceeded. */
  push(bytes: Uint8Array): boolean {
    const chunk = asBuffer(bytes)
    let from = this.#endedWithReturn && chunk[0] === newline ? 1 : 0
    if (chunk.length > 0) this.#endedWithReturn = false
    let nextNewline = chunk.indexOf(newline, from)
    let nextReturn = chunk.indexOf(carriageReturn, from)
    while (this.#exceeded === undefined && (nextNewline !== -1 || nextReturn !== -1)) {
      const isReturn = nextReturn !== -1 && (nextNewline === -1 || nextReturn < nextNewline)
      const at = isReturn ? nextReturn : nextNewline
      this.#take(chunk, from, at)
      from = at + 1
      if (isReturn && from === nextNewline) from++
      else if (isReturn && from === chunk.length) this.#endedWithReturn = true
      if (nextNewline !== -1 && nextNewline < from) nextNewline = chunk.indexOf(newline, from)
      if (nextReturn !== -1 && nextReturn < from) nextReturn = chunk.indexOf(carriageReturn, from)
    }
    if (this.#exceeded !== undefined) return false
    if (from < chunk.length) this.#keep(chunk.subarray(from))
    if (!this.#isOwn) this.#keepSlice()
    return this.#exceeded === undefined
  }

  #take(chunk: Buffer, from: number, to: number): void {
    if (this.#line.length === 0) return this.#read(chunk.subarray(from, to))
    this.#keep(chunk.subarray(from, to))
    this.#read(this.#line.take())
    // taken out of the line, which is nobody else's
    this.#isOwn = true
  }

  #keep(part: Buffer): void {
    if (this.#line.length + part.length > this.#bounds.messageBytes + longestName)
      this.#exceeded = "a line of an event stream is longer than limits.messageBytes"
    else this.#line.append(part)
  }

  #read(whole: Buffer): void {
    const line = this.#isFirstLine && whole.indexOf(byteOrderMark) === 0 ? whole.subarray(byteOrderMark.length) : whole
    this.#isFirstLine = false
    if (line.length === 0) return this.#end()
    const at = line.indexOf(colon)
    if (at === 0) return this.#handlers.onComment?.()
    const end = at === -1 ? line.length : at
    const value = line.subarray(at === -1 ? end : line[at + 1] === space ? at + 2 : at + 1)
    switch (end > longestName ? "" : line.toString("latin1", 0, end)) {
      case "data":
        return this.#readData(value, line.length + 1)
      case "id":
        if (value.includes(0)) return
        this.#id = this.#short(value, "an event id is longer than limits.eventIdBytes")
        return
      case "event":
        this.#type = this.#short(value, "an event type is longer than limits.eventIdBytes")
        return
      case "retry": {
        const digits = value.toString("latin1", 0, 16)
        if (/^\d{1,15}$/.test(digits)) this.#handlers.onRetry(Number(digits))
      }
    }
  }

  /** A string of its own, which holds no chunk. */
  #short(value: Buffer, what: string): string | undefined {
    if (value.length <= this.#bounds.eventIdBytes) return value.toString("utf8")
    this.#exceeded = what
    return undefined
  }

  #readData(value: Buffer, cost: number): void {
    if (value.length === 0 && (this.#emptyBytes += cost) > this.#bounds.emptyDataBytes) {
      this.#exceeded = "an event has more lines of data without content than limits.emptyDataBytes"
      return
    }
    if (!this.#hasData) {
      this.#hasData = true
      this.#slice = value
      this.#isOwn = false
      return
    }
    this.#keepSlice()
    if (this.#data.length + value.length + 1 > this.#bounds.messageBytes) {
      this.#exceeded = "the data of an event is longer than limits.messageBytes"
      return
    }
    this.#data.append(lineBreak)
    this.#data.append(value)
  }

  /** Copies what lies in a chunk that will be gone. */
  #keepSlice(): void {
    if (this.#slice === undefined) return
    this.#data.append(this.#slice)
    this.#slice = undefined
  }

  #end(): void {
    if (!this.#hasData && this.#id === undefined) {
      this.#type = undefined
      return
    }
    const data = this.#slice ?? (this.#hasData ? this.#data.take() : undefined)
    const event: ServerSentEvent = { id: this.#id, type: this.#type, data }
    this.#slice = undefined
    this.#hasData = false
    this.#emptyBytes = 0
    this.#id = undefined
    this.#type = undefined
    this.#handlers.onEvent(event)
  }
}

/** What a field may add to its value, generously. */
const longestName = 16
const byteOrderMark = "\u{feff}"
const lineBreak = new Uint8Array([newline])

/** Whether the event holds a message: others are for other readers, or only carry an id. */
export const isMessage = (event: ServerSentEvent): event is ServerSentEvent & { readonly data: Buffer } =>
  event.data !== undefined &&
  event.data.length > 0 &&
  (event.type === undefined || event.type === "" || event.type === "message")
