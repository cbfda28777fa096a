/**
 * A client of a backend that another process keeps: each of its messages is handed to the owner as it is, and what comes back as well.
 */
import { type Backend, BackendError } from "@vmcp-keepalive/core"
import { Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { longest, type Request, tooLong } from "../owner/perform.ts"
import type { Answer } from "../protocol.ts"
import type { Fork } from "./asking.ts"
import type { Attachment, Known } from "./attachment.ts"

/** What it is made of. `E` is what the connection may meet. */
export interface Options<E> {
  readonly id: string
  readonly attachment: Attachment
  /** The session that there is now: waits for it as a call does. */
  readonly session: Effect.Effect<Known, E>
  /** Hands one message to the owner, as {@link Ask} does. */
  readonly ask: (
    request: Pick<Request, "kind" | "method" | "params" | "idempotent" | "label">,
    fork: Fork,
    settled: (ended: Exit.Exit<Answer, E>) => void
  ) => () => void
  readonly isMet: (error: unknown) => error is E
}

/** As `Backend.use` has it. */
export const using =
  <Own>({ ask, attachment, id, isMet, session: current }: Options<Own>) =>
  <A, E = never, R = never>(
    callback: (client: Peer.Peer, signal: AbortSignal) => PromiseLike<A> | Effect.Effect<A, E, R>,
    { idempotent = false }: Backend.UseOptions = {}
  ): Effect.Effect<A, BackendError.CallError | Own | E, R> =>
    Effect.flatMap(current, (session) =>
      Effect.withFiber(({ context }): Effect.Effect<A, BackendError.CallError | Own | E, R> => {
        const fork = Effect.runForkWith(context)
        const controller = new AbortController()
        let met: Own | undefined
        /** the requests under way, by their labels */
        const aborts = new Map<unknown, (reason: unknown) => void>()
        let isOver = false
        /** Whatever else the callback has begun: it must not go on for a caller that has gone. */
        const end = () => {
          isOver = true
          controller.abort(new DOMException("The call has ended", "AbortError"))
        }

        const send = (
          kind: Request["kind"],
          { method, params }: { readonly method: string; readonly params?: Message.Params | undefined },
          { id: own, onAnswer, onId, signal }: Peer.RequestOptions = {}
        ): Promise<Message.Result> =>
          new Promise((resolve, reject) => {
            if (kind === "request" && isOver) return reject(new Error("The call is over: nothing more is sent for it"))
            if (signal?.aborted === true) return reject(signal.reason)
            const label = kind === "request" ? attachment.label(own) : 0
            if (kind === "request") onId?.(label)
            const json = params === undefined ? undefined : JSON.stringify(params)
            if (json !== undefined && json.length > longest) return reject(tooLong(id, "request"))
            const abort = (reason: unknown) => {
              interrupt()
              over()
              reject(reason)
            }
            const aborted = () => abort(signal?.reason)
            const over = () => {
              signal?.removeEventListener("abort", aborted)
              // all notifications have the label of the first request
              if (kind === "request") aborts.delete(label)
            }
            const settled = (exit: Exit.Exit<Answer, Own>) => {
              over()
              if (Exit.isFailure(exit)) {
                const error: unknown = Cause.squash(exit.cause)
                if (isMet(error)) met ??= error
                return reject(error)
              }
              // Nobody else would settle the request, and what is thrown here would end the process.
              try {
                onAnswer?.()
                const answer = JSON.parse(exit.value.json)
                if (exit.value.isError) reject(new Peer.RpcError(answer))
                else resolve(answer)
              } catch (error) {
                reject(error)
              }
            }
            signal?.addEventListener("abort", aborted, { once: true })
            if (kind === "request") aborts.set(label, abort)
            const interrupt = ask({ kind, method, params: json, idempotent, label }, fork, (exit) => {
              const wait = Exit.isSuccess(exit) ? attachment.told(exit.value.told) : undefined
              if (wait === undefined) settled(exit)
              else fork(wait).addObserver(() => settled(exit))
            })
          })
        const peer = new Elsewhere(session, send, aborts)
        const failed = (cause: unknown) =>
          cause instanceof BackendError.CallFailed
            ? cause
            : new BackendError.CallFailed({
                backend: id,
                reason: undefined,
                code: Peer.isRpcError(cause) ? cause.code : undefined,
                retryAfter: undefined,
                cause
              })
        // What the connection met is what the call fails with, whatever the callback made of it.
        const told = <A, E, R>(running: Effect.Effect<A, E, R>): Effect.Effect<A, E | Own, R> =>
          running.pipe(
            Effect.onError(() => Effect.sync(end)),
            Effect.catchCause((cause): Effect.Effect<never, E | Own> =>
              met === undefined ? Effect.failCause(cause) : Effect.fail(met)
            )
          )
        let called: PromiseLike<A> | Effect.Effect<A, E, R>
        try {
          called = callback(peer, controller.signal)
        } catch (cause) {
          return told(Effect.fail(failed(cause)))
        }
        if (Effect.isEffect(called)) return told(called)
        const promise = called
        return told(Effect.tryPromise({ try: () => promise, catch: failed }))
      })
    )

type Send = (
  kind: Request["kind"],
  message: { readonly method: string; readonly params?: Message.Params | undefined },
  options?: Peer.RequestOptions
) => Promise<Message.Result>

/**
 * What a callback gets. A class, as each call makes one: V8 allocates the functions of an object literal where only a full collection frees them, and all
 * of the call with them.
 */
class Elsewhere implements Peer.Peer {
  readonly server: Peer.Peer["server"]
  readonly era: Peer.Peer["era"]
  readonly capabilities: Peer.Peer["capabilities"]
  readonly #session: Known
  readonly #send: Send
  readonly #aborts: ReadonlyMap<unknown, (reason: unknown) => void>

  constructor(session: Known, send: Send, aborts: ReadonlyMap<unknown, (reason: unknown) => void>) {
    this.server = session.server
    this.era = session.era
    this.capabilities = session.server.capabilities
    this.#session = session
    this.#send = send
    this.#aborts = aborts
  }

  request(...[question, options]: Parameters<Peer.Peer["request"]>): Promise<Message.Result> {
    return this.#send("request", question, options)
  }

  async notification(notification: Parameters<Peer.Peer["notification"]>[0]): Promise<void> {
    const cancelled = Message.cancelled({ ...notification, jsonrpc: "2.0" })
    // the server knows the request by another id
    if (cancelled !== undefined) return this.#aborts.get(cancelled)?.(new Error("It was cancelled"))
    await this.#send("notification", notification)
  }

  answer(): ReturnType<Peer.Peer["answer"]> {
    return refused("What the server asks is answered by the process that keeps the backend")
  }

  connect(): ReturnType<Peer.Peer["connect"]> {
    return refused("The session is that of the process that keeps the backend")
  }

  listen(listener: Peer.Listener): () => void {
    const { isOver, listeners } = this.#session
    if (isOver) listener.onClose?.()
    else listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

const refused = (why: string) => Promise.reject(new Error(why))
