/**
 * The connections of clients of MCP 2026-07-28: one for each that says something else of itself, as long as it is used.
 */
import type { KeptPeer } from "@vmcp-keepalive/host"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { AnswerError, Connection, type Words } from "./connection.ts"

/** What they are made of. */
export interface Options {
  /** Opens a connection to the gateway. */
  readonly open: (deliver: KeptPeer.Deliver) => Promise<Opened>
  /** Takes what belongs to no request. */
  readonly onNotification: (notification: Message.Notification) => void
}

/** One that is open. */
export interface Opened {
  readonly take: KeptPeer.KeptPeer["take"]
  readonly close: () => Promise<void>
}

/** So many at a time: clients of one program say the same. */
const most = 64

/** How long one that nobody uses stays open, in milliseconds. */
const idleTimeout = 10 * 60_000

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
  /** hears what belongs to no request, for all */
  readonly #base: Connection
  readonly #closing = new Set<Promise<void>>()

  constructor(options: Options) {
    this.#options = options
    this.#base = this.#open(baseWords, options.onNotification).connection
  }

  /** The gateway as a client without capabilities sees it, which hears what belongs to no request. */
  get base(): Connection {
    return this.#base
  }

  /** The connection of a client that says this of itself. Throws where there are too many. */
  of(words: Words): Connection {
    const key = JSON.stringify([words.clientInfo, words.capabilities])
    const known = this.#kept.get(key)
    if (known !== undefined) this.#kept.delete(key)
    else this.#makeRoom()
    const kept = known ?? this.#open(words, () => {})
    this.#kept.set(key, kept)
    clearTimeout(kept.idle)
    kept.idle = setTimeout(() => this.#idle(key, kept), idleTimeout)
    kept.idle.unref()
    return kept.connection
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    for (const [key, kept] of this.#kept) this.#end(key, kept)
    await Promise.all(this.#closing)
  }

  #open(words: Words, onNotification: Options["onNotification"]): Kept {
    const connection = new Connection({ words, onNotification })
    const opened = this.#options.open(connection.deliver)
    opened.then(
      ({ take }) => connection.begin(take),
      // why is told where it is opened
      () => {}
    )
    const kept: Kept = { connection, opened, idle: undefined }
    if (words === baseWords) this.#kept.set("", kept)
    return kept
  }

  #makeRoom(): void {
    if (this.#kept.size <= most) return
    for (const [key, kept] of this.#kept) {
      if (kept.connection === this.#base || kept.connection.size > 0) continue
      return this.#end(key, kept)
    }
    throw new AnswerError({ code: -32603, message: "Too many clients at a time: try again later" })
  }

  #idle(key: string, kept: Kept): void {
    if (kept.connection.size === 0) return this.#end(key, kept)
    kept.idle = setTimeout(() => this.#idle(key, kept), idleTimeout)
    kept.idle.unref()
  }

  #end(key: string, { connection, idle, opened }: Kept): void {
    this.#kept.delete(key)
    clearTimeout(idle)
    connection.end()
    const closing = opened.then(({ close }) => close()).catch(() => {})
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }
}

const baseWords: Words = { clientInfo: { name: "vmcp-keepalive", version: "0.1.0" }, capabilities: {} }
