/**
 * A session of MCP 2026-07-28 as one of the revisions before: who asks through it, and hears what it delivers, need not know of which
 * era the server is.
 */
import type { ClientTransport } from "../../ClientTransport.ts"
import * as Message from "../../Message.ts"
import type { About, Meta, Question } from "../../Requests.ts"
import { isRpcError, RpcError } from "../rpcError.ts"
import * as HandedOn from "./handedOn.ts"
import { Listening } from "./listening.ts"
import { ParameterHeaders } from "./parameterHeaders.ts"
import { type Deliver, Questions } from "./questions.ts"
import * as Shape from "./shape.ts"

/** How one request is sent. */
export interface AskOptions {
  /** Default: the next number */
  readonly id?: Message.Id | undefined
  readonly signal?: AbortSignal | undefined
  readonly onId?: ((id: Message.Id) => void) | undefined
  readonly onAnswer?: ((answer: Message.Answer) => void) | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Sends a request; rejects with `RpcError` where the server answers with an error. */
export type Ask = (question: Question, options: AskOptions) => Promise<Message.Result>

/** What who asks says beside the request. */
export interface RequestOptions {
  readonly id?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onId?: ((id: number) => void) | undefined
  readonly onAnswer?: (() => void) | undefined
}

/** What it is made of. */
export interface Options {
  readonly ask: Ask
  readonly deliver: Deliver
  readonly transport: Pick<ClientTransport, "cancelsByStream" | "requests">
  /** what the client says of itself with each request */
  readonly envelope: Meta
  readonly capabilities: { readonly [name: string]: unknown }
}

/** So often a request is sent, where the server asks something each time: as the SDK has it. */
const mostLegs = 10

/** So many pages of tools are read to know what a call says in headers. */
const mostPages = 100

const logLevel = "io.modelcontextprotocol/logLevel"

/** The headers of a request do not say what its body says (MCP 2026-07-28): it was not executed. */
const headerMismatch = -32020

/** See the module. */
export class Face {
  readonly #options: Options
  readonly #questions: Questions
  readonly #listening: Listening
  readonly #parameters = new ParameterHeaders()
  /** the further requests that one takes, by their ids, and the id of the first */
  readonly #legs = new Map<Message.Id, Message.Id | undefined>()
  /** what the server is to log of each request */
  #level: string | undefined
  #count = 0

  constructor(options: Options) {
    this.#options = options
    const { capabilities, deliver, transport } = options
    this.#questions = new Questions(deliver)
    this.#listening = new Listening({
      ask: (question, asked) => this.#send(question, asked),
      capabilities,
      uris: transport.requests.subscriptions
    })
  }

  /** The session is open. */
  start(): void {
    this.#listening.start()
  }

  /** The first request goes out in the same turn. */
  request(question: Question, options: RequestOptions): Promise<Message.Result> {
    const { method, params } = question
    switch (method) {
      case "ping":
        return this.#send({ ...question, method: "server/discover" }, asked(options, options.onAnswer)).then(() => ({}))
      case "logging/setLevel":
        return this.#setLevel(params?.["level"])
      case "resources/subscribe":
        return abortable(this.#listening.subscribe(params?.["uri"]), options.signal)
      case "resources/unsubscribe":
        return abortable(this.#listening.unsubscribe(params?.["uri"]), options.signal)
      default:
        return HandedOn.isMarked(params)
          ? this.#called(question, asked(options, options.onAnswer))
          : this.#answered(question, options)
    }
  }

  /** An answer to what the server has asked. */
  answer(answer: Message.Answer): void {
    this.#questions.answered(answer)
  }

  /** What is heard of a notification of the server's; `undefined` where it is nothing. */
  take(message: Message.Notification): Message.Notification | undefined {
    return this.#listening.take(message)
  }

  /** About a message that came while a further request was worked on: the request that has led to it. */
  about(about: About): About {
    const { relatedRequestId } = about
    return relatedRequestId === undefined || !this.#legs.has(relatedRequestId)
      ? about
      : { relatedRequestId: this.#legs.get(relatedRequestId) }
  }

  end(error: Error): void {
    this.#questions.end(error)
  }

  /** Answers what the server asks, until it asks nothing more. */
  async #answered(question: Question, options: RequestOptions): Promise<Message.Result> {
    const { onAnswer, onId, signal } = options
    let first: Message.Id | undefined
    const told = (answer: Message.Answer) => {
      if (!("result" in answer) || !asks(answer.result)) onAnswer?.()
    }
    const begun = {
      ...asked(options),
      onAnswer: told,
      onId: (id: Message.Id) => {
        first = id
        if (typeof id === "number") onId?.(id)
      }
    }
    let result = await this.#called(question, begun)
    for (let leg = 1; asks(result); leg++) {
      if (leg === mostLegs) throw new Error(`The server asks something ${mostLegs} times in a row`)
      const { inputRequests, requestState } = result
      const inputResponses = await this.#questions.ask(inputRequests, related(first), signal)
      const params = { ...question.params, inputResponses, ...(requestState === undefined ? {} : { requestState }) }
      result = await this.#leg(first, (id) => this.#called({ ...question, params }, { id, signal, onAnswer: told }))
    }
    return Shape.result(question.method, result)
  }

  /** Sends one request, with the headers that its server compares. */
  async #called(question: Question, options: AskOptions): Promise<Message.Result> {
    const { method, params } = question
    const isHttp = this.#options.transport.cancelsByStream
    if (!isHttp || method !== "tools/call") {
      const result = await this.#send(question, options)
      if (isHttp && method === "tools/list") this.#parameters.listed(result)
      return result
    }
    const headers = this.#parameters.of(params)
    let first: Message.Id | undefined
    const onId = (id: Message.Id) => {
      first = id
      options.onId?.(id)
    }
    try {
      return await this.#send(question, { ...options, onId, headers })
    } catch (error) {
      if (!isRpcError(error) || error.code !== headerMismatch) throw error
      // its tools were not listed in this session, or have changed
      await this.#listTools(options.signal).catch(() => {})
      const others = this.#parameters.of(params)
      if (JSON.stringify(others) === JSON.stringify(headers)) throw error
      const { onAnswer, signal } = options
      return this.#leg(this.about(related(first)).relatedRequestId, (id) =>
        this.#send(question, { id, onAnswer, signal, headers: others })
      )
    }
  }

  async #listTools(signal: AbortSignal | undefined): Promise<void> {
    let cursor: unknown
    for (let page = 0; page < mostPages; page++) {
      const params = cursor === undefined ? {} : { cursor }
      const id = `tools-${this.#count++}`
      const result = await this.#send({ method: "tools/list", params }, { id, signal })
      this.#parameters.listed(result)
      const { nextCursor } = result
      if (typeof nextCursor !== "string" || nextCursor === cursor) return
      cursor = nextCursor
    }
  }

  async #leg(
    first: Message.Id | undefined,
    send: (id: Message.Id) => Promise<Message.Result>
  ): Promise<Message.Result> {
    const id = `leg-${this.#count++}`
    this.#legs.set(id, first)
    try {
      return await send(id)
    } finally {
      this.#legs.delete(id)
    }
  }

  #send(question: Question, options: AskOptions): Promise<Message.Result> {
    const { params } = question
    const level = this.#level === undefined ? {} : { [logLevel]: this.#level }
    const words = HandedOn.wordsOf(params)
    const envelope = words === undefined ? this.#options.envelope : Message.envelope(words)
    const meta = { ...params?._meta, ...level, ...envelope }
    return this.#options.ask({ ...question, params: { ...params, _meta: meta } }, options)
  }

  #setLevel(level: unknown): Promise<Message.Result> {
    if (typeof level !== "string")
      return Promise.reject(new RpcError({ code: -32602, message: "logging/setLevel needs a level" }))
    this.#level = level
    return Promise.resolve({})
  }
}

const asks = ({ resultType }: Message.Result): boolean => resultType === "input_required"

const related = (relatedRequestId: Message.Id | undefined): About =>
  relatedRequestId === undefined ? {} : { relatedRequestId }

const asked = ({ id, onId, signal }: RequestOptions, onAnswer?: () => void): AskOptions => ({
  id,
  signal,
  onAnswer,
  onId: (given) => {
    if (typeof given === "number") onId?.(given)
  }
})

/** Waits no longer than the signal says. */
const abortable = <A>(promise: Promise<A>, signal: AbortSignal | undefined): Promise<A> =>
  signal === undefined
    ? promise
    : new Promise((resolve, reject) => {
        const abort = () => reject(signal.reason)
        if (signal.aborted) return abort()
        signal.addEventListener("abort", abort, { once: true })
        promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort))
      })
