/**
 * A client of an SDK on a session that somebody else keeps: the `Transport` of the MCP SDKs 1.x and 2.x, in structure only, over a {@link Peer}. For
 * `Backend.use` of backends whose client is a `Peer`, wherever they are kept.
 *
 * The handshake has been made already: the client's own `initialize` is answered with what the server has said, and the server is not told of the client's
 * capabilities. What it asks is not heard. The session is not ended with the transport.
 */
import * as Message from "./Message.ts"
import { isRpcError, type Peer } from "./Peer.ts"
import type { SendOptions } from "./Requests.ts"
import { randomUUID } from "node:crypto"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * See the module.
 *
 * @since 0.1.0
 */
export class ForwardTransport {
  declare onclose?: () => void
  declare onerror?: (error: Error) => void
  // Each SDK types the messages of its own version.
  // oxlint-disable-next-line typescript/no-explicit-any -- a structural type that both of theirs are assignable to and from
  declare onmessage?: (message: any, extra?: any) => void

  readonly #peer: Peer
  /** what the tokens of this client begin with: others have requests of their own on the session */
  readonly #prefix = `forward-${randomUUID()}-`
  readonly #underWay = new Map<Message.Id, AbortController>()
  /** the client's own progress tokens, by those that the server sees */
  readonly #tokens = new Map<string, Message.Id>()
  #nextToken = 0
  #stop: (() => void) | undefined
  #isClosed = false

  constructor(peer: Peer) {
    this.#peer = peer
  }

  /** Begins to hear. Called once, by the client. Rejects where the peer is not connected. */
  start(): Promise<void> {
    if (this.#stop !== undefined) return Promise.reject(new Error("This transport was started before"))
    if (this.#peer.server === undefined) return Promise.reject(new Error("The session has not begun"))
    this.#stop = this.#peer.listen({
      onNotification: (notification) => this.#told(notification),
      onClose: () => void this.close()
    })
    return Promise.resolve()
  }

  /** Takes a message of the client's. What becomes of a request is told by its answer. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  send(sent: any, options?: SendOptions): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error("This transport was closed"))
    const message = Message.of(sent)
    if (message === undefined) return Promise.reject(new Error("This is no message of JSON-RPC 2.0"))
    if (Message.isAnswer(message)) return this.#peer.answer(message)
    if (!Message.isRequest(message)) return this.#notify(message)
    const { id, method } = message
    if (method === "initialize") this.#answer({ jsonrpc: "2.0", id, result: { ...this.#peer.server } })
    // the client speaks as in the legacy era, whatever the server does
    else if (method === "server/discover") this.#answer({ jsonrpc: "2.0", id, error: unknownMethod })
    else this.#ask(message, options?.requestSignal)
    return Promise.resolve()
  }

  /** The client hears no more, and what it has asked is cancelled. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#isClosed = true
    this.#stop?.()
    for (const controller of this.#underWay.values()) controller.abort(new Error("This transport was closed"))
    this.onclose?.()
    return Promise.resolve()
  }

  #ask({ id, method, params }: Message.Request, requestSignal: AbortSignal | undefined): void {
    const own = params?._meta?.["progressToken"]
    const shown = Message.isId(own) ? `${this.#prefix}${this.#nextToken++}` : undefined
    if (shown !== undefined && Message.isId(own)) this.#tokens.set(shown, own)
    const asked = shown === undefined ? params : { ...params, _meta: { ...params?._meta, progressToken: shown } }
    const controller = new AbortController()
    const abort = () => controller.abort(requestSignal?.reason)
    if (requestSignal?.aborted === true) abort()
    requestSignal?.addEventListener("abort", abort, { once: true })
    this.#underWay.set(id, controller)
    const settled = () => {
      requestSignal?.removeEventListener("abort", abort)
      this.#underWay.delete(id)
      if (shown !== undefined) this.#tokens.delete(shown)
    }
    this.#peer
      .request(asked === undefined ? { method } : { method, params: asked }, { signal: controller.signal })
      .then(
        (result) => this.#answer({ jsonrpc: "2.0", id, result }, settled),
        (error: unknown) => {
          // nobody waits for it any more
          if (controller.signal.aborted) return settled()
          this.#answer({ jsonrpc: "2.0", id, error: errorOf(error) }, settled)
        }
      )
  }

  #notify(notification: Message.Notification): Promise<void> {
    const { method, params } = notification
    const cancelled = Message.cancelled(notification)
    if (cancelled !== undefined) {
      this.#underWay.get(cancelled)?.abort(new Error("The client has cancelled it"))
      return Promise.resolve()
    }
    if (method === "notifications/initialized") return Promise.resolve()
    return this.#peer.notification(params === undefined ? { method } : { method, params })
  }

  #told(notification: Message.Notification): void {
    if (notification.method !== "notifications/progress") return this.#deliver(notification)
    const token = this.#tokens.get(String(Message.progressOf(notification)))
    if (token === undefined) return
    this.#deliver({ ...notification, params: { ...notification.params, progressToken: token } })
  }

  /**
   * In a macrotask of its own: the SDKs run handlers of notifications a microtask later than those of answers, and would drop the progress that came just
   * before.
   */
  #answer(answer: Message.Answer, settled: () => void = () => {}): void {
    setImmediate(() => {
      settled()
      this.#deliver(answer)
    })
  }

  #deliver(message: Message.Message): void {
    if (this.#isClosed) return
    try {
      this.onmessage?.(message)
    } catch (error) {
      this.onerror?.(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

// ----------------------------------------------------------------------------------------------------------- internal

const unknownMethod = { code: -32601, message: "Method not found" }

/** JSON-RPC's code for errors made on this side, as clients know it (`ConnectionClosed`). */
const connectionClosed = -32000

/** What the server has said, or that it has said nothing: what `use` fails with says why. */
const errorOf = (error: unknown): Message.ErrorAnswer["error"] => {
  if (!isRpcError(error)) return { code: connectionClosed, message: "There is no answer" }
  const { code, data, message } = error
  return data === undefined ? { code, message } : { code, message, data }
}
