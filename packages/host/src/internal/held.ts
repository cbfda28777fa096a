/**
 * What servers send before the host is ready for it: until it has said `notifications/initialized`.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { About } from "./delivery.ts"

type FromServer = Message.Request | Message.Notification

/**
 * A host that never says that it is ready must not make what a server sends grow without a bound. Requests are bounded by the
 * transport, which counts what a session has in hand; of notifications the oldest are dropped.
 */
const most = 256

/**
 * See the module.
 *
 * @since 0.1.0
 */
export class Held {
  #messages: Array<readonly [FromServer, About]> | undefined = []

  /** Whether the message is held; false where the host is ready. */
  hold(message: FromServer, about: About): boolean {
    const messages = this.#messages
    if (messages === undefined) return false
    if (messages.length >= most && !("id" in message)) {
      const oldest = messages.findIndex(([held]) => !("id" in held))
      if (oldest !== -1) messages.splice(oldest, 1)
    }
    messages.push([message, about])
    return true
  }

  /** The host is ready: what was held, in order. Nothing is held from now on. */
  release(): ReadonlyArray<readonly [FromServer, About]> {
    const messages = this.#messages ?? []
    this.#messages = undefined
    return messages
  }
}
