/**
 * A kept connection where a client takes a transport: the `Transport` of the MCP SDKs 1.x and 2.x and of the AI SDK, in structure
 * only.
 *
 * It starts once, and ends only when its client closes it.
 */
import type { BackendError } from "@vmcp-keepalive/core"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Deliver } from "./internal/delivery.ts"
import * as KeptPeer from "./KeptPeer.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What the clients of the SDKs say of a message that they send, as far as it matters here.
 *
 * @since 0.1.0
 */
export interface SendOptions {
  /** the request of the server's that the message belongs to: known here from the message */
  readonly relatedRequestId?: Message.Id | undefined
  /** the AI SDK's: an abort ends the waiting for the answer */
  readonly signal?: AbortSignal | undefined
  /** the same, as SDK 2.x says it */
  readonly requestSignal?: AbortSignal | undefined
}

/** What opens the connection: where it is run from differs. */
interface Opener {
  readonly open: (deliver: Deliver) => Promise<Pick<KeptPeer.KeptPeer, "take">>
  readonly close: () => Promise<void>
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export class KeptTransport {
  declare onclose?: () => void
  declare onerror?: (error: Error) => void
  // Each client types the messages of its own version.
  // oxlint-disable-next-line typescript/no-explicit-any -- a structural type that all of theirs are assignable to and from
  declare onmessage?: (message: any, extra?: any) => void

  readonly #opener: Opener
  #starting: Promise<void> | undefined
  #peer: Pick<KeptPeer.KeptPeer, "take"> | undefined
  #closing: Promise<void> | undefined

  constructor(opener: Opener) {
    this.#opener = opener
  }

  /** Opens the connection; the server is reached when the client initializes. Called once, by the client. */
  start(): Promise<void> {
    if (this.#starting !== undefined) return Promise.reject(new Error("This connection was started before"))
    if (this.#closing !== undefined) return Promise.reject(over())
    this.#starting = this.#opener
      .open((message) => this.#deliver(message))
      .then((peer) => {
        if (this.#closing !== undefined) throw over()
        this.#peer = peer
      })
    return this.#starting
  }

  /** Takes a message of the client's. What becomes of a request is told by its answer. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  send(message: any, options?: SendOptions): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(over())
    if (this.#peer === undefined) return Promise.reject(new Error("This connection was not started yet"))
    this.#peer.take(message, { signal: options?.signal ?? options?.requestSignal })
    return Promise.resolve()
  }

  /** Ends the connection and its session with the server. Resolves when everything that it held is freed. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#opener.close()
      this.onclose?.()
    }
    return this.#closing
  }

  #deliver(message: Message.Message): void {
    if (this.#closing !== undefined) return
    try {
      this.onmessage?.(message)
    } catch (error) {
      this.onerror?.(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

const over = () => new Error("This connection was closed by its host")

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A kept transport in an app of Effect's, which ends with the scope if its client has not closed it before.
 *
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: KeptPeer.Options<R>
): Effect.fn.Return<KeptTransport, BackendError.ConfigurationError, Scope.Scope | R> {
  yield* KeptPeer.check(options)
  const context = yield* Effect.context<R>()
  const run = Effect.runPromiseWith(context)
  // Closed by the transport, whose client is told so: also when it is the outer scope that ends.
  const scope = yield* Scope.make()
  return yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new KeptTransport({
          open: (deliver) => run(Scope.provide(KeptPeer.make(options, deliver), scope)),
          close: () => run(Scope.close(scope, Exit.void))
        })
    ),
    (transport) => Effect.promise(() => transport.close())
  )
})
