/**
 * The connections of clients of MCP 2026-07-28: one for each that says something else of itself, as long as it is used.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { createHash } from "node:crypto"
import type { Open, Opened } from "../host/opening.ts"
import { AnswerError, Connection, type Words } from "./connection.ts"

/** What they are made of. */
export interface Options {
  /** Opens a connection to the gateway. */
  readonly open: Open
  /** Takes what belongs to no request. */
  readonly onNotification: (notification: Message.Notification) => void
}

/** So many at a time: clients of one program say the same. */
const most = 64

/** How long one that nobody uses stays open, in milliseconds. */
const idleTimeout = 10 * 60_000

/** How much a client may say of itself, in characters as JSON: it is said to each server. */
const mostWords = 16_384

interface Opening extends Pick<Options, "onNotification"> {
  readonly waits: boolean
}

interface Kept {
  readonly connection: Connection
  readonly opened: Promise<Opened>
  idle: NodeJS.Timeout | undefined
}

/** See the module. */
export class Connections {
  readonly #options: Options
  /** by what the client says; what was not used for the longest time comes first */
  readonly #kept = new Map<string, Kept>()
  #base: Kept | undefined
  readonly #closing = new Set<Promise<void>>()
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Whether none is opened any more. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** The gateway as a client without capabilities sees it, which hears what belongs to no request, for all. Open from its first use on. */
  get base(): Connection {
    if (this.#isClosed) throw closed()
    const { onNotification } = this.#options
    this.#base ??= this.#open(baseWords, { onNotification, waits: true }, () => (this.#base = undefined))
    return this.#base.connection
  }

  /** The connection of a client that says this of itself. Throws {@link AnswerError} where there are too many, or it says too much. */
  of(words: Words): Connection {
    if (this.#isClosed) throw closed()
    const json = JSON.stringify([words.clientInfo, words.capabilities])
    if (json.length > mostWords) throw tooLong()
    const key = createHash("sha256").update(json).digest("base64url")
    const kept = this.#kept.get(key) ?? this.#made(key, words)
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    clearTimeout(kept.idle)
    kept.idle = setTimeout(() => this.#idle(key, kept), idleTimeout)
    kept.idle.unref()
    return kept.connection
  }

  /** Ends all of them, and opens no more. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const [key, kept] of this.#kept) this.#end(key, kept)
    if (this.#base !== undefined) this.#ends(this.#base)
    await Promise.all(this.#closing)
  }

  #made(key: string, words: Words): Kept {
    this.#makeRoom()
    // what the gateway says of itself is that of the base, which has waited; a request waits for no backend but its own
    const kept = this.#open(words, { onNotification: () => {}, waits: false }, () => this.#end(key, kept))
    return kept
  }

  /** `failed` is called where it is of no use: it was not opened, or not initialized, or has ended. */
  #open(words: Words, { onNotification, waits }: Opening, failed: () => void): Kept {
    const connection = new Connection({ words, onNotification })
    const opened = this.#options.open(connection.deliver, { waits })
    opened.then(
      ({ take }) => connection.begin(take),
      // why is told where it is opened
      () => connection.end()
    )
    const kept: Kept = { connection, opened, idle: undefined }
    connection.server.catch(() => {
      failed()
      this.#ends(kept)
    })
    return kept
  }

  #makeRoom(): void {
    if (this.#kept.size < most) return
    for (const [key, kept] of this.#kept) if (kept.connection.size === 0) return this.#end(key, kept)
    throw new AnswerError({ code: internalError, message: "Too many clients at a time: try again later" })
  }

  #idle(key: string, kept: Kept): void {
    if (kept.connection.size === 0) return this.#end(key, kept)
    kept.idle = setTimeout(() => this.#idle(key, kept), idleTimeout)
    kept.idle.unref()
  }

  #end(key: string, kept: Kept): void {
    if (this.#kept.get(key) === kept) this.#kept.delete(key)
    this.#ends(kept)
  }

  #ends({ connection, idle, opened }: Kept): void {
    clearTimeout(idle)
    connection.end()
    const closing = opened.then(({ close }) => close()).catch(() => {})
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }
}

const baseWords: Words = { clientInfo: { name: "vmcp-keepalive", version: "0.1.0" }, capabilities: {} }

/** JSON-RPC 2.0, section 5.1. */
const [invalidParams, internalError] = [-32602, -32603]

const closed = () => new AnswerError({ code: internalError, message: "The gateway is closed" })
const tooLong = () => new AnswerError({ code: invalidParams, message: "The client says too much of itself" })
