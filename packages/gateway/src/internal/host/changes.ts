/**
 * Tells a host that lists have changed: once for all backends of which one has in so short a time.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"

/** What can be listed, by the name in the notification. */
export type List = "tools" | "prompts" | "resources"

export const all: ReadonlyArray<List> = ["tools", "prompts", "resources"]

/** In milliseconds: a fleet that comes back is a few notifications, and a person sees no delay. */
const within = 50

/** See the module. */
export class Changes {
  readonly #tell: (notification: Message.Notification) => void
  readonly #lists = new Set<List>()
  #timer: NodeJS.Timeout | undefined

  constructor(tell: (notification: Message.Notification) => void) {
    this.#tell = tell
  }

  add(lists: Iterable<List>): void {
    for (const list of lists) this.#lists.add(list)
    if (this.#lists.size > 0) this.#timer ??= setTimeout(() => this.#due(), within)
  }

  /** Nothing more is told. */
  end(): void {
    clearTimeout(this.#timer)
    this.#lists.clear()
  }

  #due(): void {
    this.#timer = undefined
    const lists = [...this.#lists]
    this.#lists.clear()
    for (const list of lists) this.#tell({ jsonrpc: "2.0", method: `notifications/${list}/list_changed` })
  }
}
