/**
 * What a server of MCP 2026-07-28 asks in the result of a request (`input_required`), as requests of its own, as servers of the
 * revisions before send them.
 */
import * as Message from "../../Message.ts"
import type { About } from "../../Requests.ts"
import { RpcError } from "../rpcError.ts"

/** What servers may ask. */
const askable: ReadonlySet<unknown> = new Set(["elicitation/create", "sampling/createMessage", "roots/list"])

/** So many may wait for their answers in one session, as in the revisions before. */
const most = 64

/** Takes a request of the server's, or that it waits no longer for one. */
export type Deliver = (message: Message.Request | Message.Notification, about: About) => void

interface Waiting {
  readonly answered: (result: Message.Result) => void
  readonly failed: (error: Error) => void
}

/** The answers by the keys under which the server has asked. */
export type Responses = Readonly<Record<string, Message.Result>>

/** See the module. One for each session. */
export class Questions {
  readonly #deliver: Deliver
  readonly #waiting = new Map<Message.Id, Waiting>()
  #next = 0

  constructor(deliver: Deliver) {
    this.#deliver = deliver
  }

  /** Asks all, and rejects where one of them cannot be answered; those that are open then, or when the signal aborts, are cancelled. */
  ask(asked: unknown, about: About, signal: AbortSignal | undefined): Promise<Responses> {
    const requests = Message.isObject(asked) ? Object.entries(asked) : []
    if (requests.length + this.#waiting.size > most)
      return Promise.reject(new Error(`The server asks for more than ${most} answers at once`))
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const responses: Record<string, Message.Result> = {}
      const open = new Set<Message.Id>()
      const aborted = () => failed(signal?.reason)
      const settled = () => signal?.removeEventListener("abort", aborted)
      const failed = (error: unknown) => {
        settled()
        for (const id of open) this.#cancel(id)
        open.clear()
        reject(error)
      }
      const given = () => {
        if (open.size > 0) return
        settled()
        resolve(responses)
      }
      signal?.addEventListener("abort", aborted, { once: true })
      const all = requests.map(([key, request]) => {
        const id = `input-${this.#next++}`
        open.add(id)
        this.#waiting.set(id, {
          answered: (result) => {
            open.delete(id)
            responses[key] = result
            given()
          },
          failed: (error) => {
            open.delete(id)
            failed(error)
          }
        })
        return { id, request }
      })
      if (all.some(({ request }) => !isAskable(request)))
        return failed(new Error("The server asks what it may not ask"))
      try {
        for (const { id, request } of all) {
          // one that could not be answered has ended the others
          if (open.has(id) && isAskable(request)) this.#deliver(requestOf(id, request), about)
        }
      } catch (error) {
        return failed(error)
      }
      given()
    })
  }

  /** Its receiver answers one. */
  answered(answer: Message.Answer): void {
    const waiting = answer.id === undefined ? undefined : this.#waiting.get(answer.id)
    if (waiting === undefined || answer.id === undefined) return
    this.#waiting.delete(answer.id)
    if ("result" in answer) waiting.answered(answer.result)
    else waiting.failed(new RpcError(answer.error))
  }

  /** The session is over: nobody waits for an answer any more. */
  end(error: Error): void {
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { failed } of all) failed(error)
  }

  #cancel(id: Message.Id): void {
    if (!this.#waiting.delete(id)) return
    try {
      this.#deliver({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } }, {})
    } catch {
      // What the receiver throws would end the process where this comes of an abort, and keep the others from being cancelled.
    }
  }
}

interface Askable {
  readonly method: string
  readonly params?: Message.Params
}

const isAskable = (request: unknown): request is Askable =>
  Message.isObject(request) &&
  askable.has(request["method"]) &&
  (request["params"] === undefined || Message.isObject(request["params"]))

const requestOf = (id: Message.Id, { method, params }: Askable): Message.Request =>
  params === undefined ? { jsonrpc: "2.0", id, method } : { jsonrpc: "2.0", id, method, params }
