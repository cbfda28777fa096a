/**
 * One connection to the gateway for all requests of MCP 2026-07-28 whose clients say the same of themselves. That era has no sessions and
 * no requests of a server's: where a server asks something while it works on a call, the call is answered with what is asked
 * (`input_required`), goes on meanwhile, and ends when the client sends it again with the answers. A server of the same era asks so by
 * itself: what it says, and what its client answers, is handed on as it is.
 */
import type { KeptPeer } from "@vmcp-keepalive/host"
import { Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import { randomUUID } from "node:crypto"
import * as Questions from "./questions.ts"
import { severityOf, telling, type Wanted } from "./telling.ts"

/** What a client says of itself with every request. */
export interface Words {
  readonly clientInfo: unknown
  readonly capabilities: unknown
}

/** A request of a client's. */
export interface Asked extends Wanted {
  readonly method: string
  readonly params: Message.Params | undefined
  readonly signal: AbortSignal
  /** what an earlier answer to it has said, and the answers to what that has asked */
  readonly requestState: string | undefined
  readonly inputResponses: Readonly<Record<string, unknown>> | undefined
}

/** What it is made of. */
export interface Options {
  readonly words: Words
  /** Takes what belongs to no request. */
  readonly onNotification: (notification: Message.Notification) => void
}

/** How long a call waits for its client to send it again, in milliseconds: a person may have to decide. */
const inputTimeout = 5 * 60_000

/** So many calls may wait for that at a time, of one connection: each holds a call at a server. */
const mostHeld = 64

/** A call, through all requests that it takes. */
interface Call {
  readonly id: number
  readonly method: string
  /** what it is about, which a request that goes on with it names again */
  readonly subject: unknown
  /** the token that the client has given */
  readonly token: Message.Id | undefined
  tell: (notification: Message.Notification) => void
  /** ends the answer that is being waited for */
  outcome: ((outcome: Outcome) => void) | undefined
  answer: Message.Answer | undefined
  /** what the server has asked and the client was not told yet, and what it was told, by the keys that it sees */
  readonly asked: Map<string, Message.Request>
  readonly told: Map<string, Message.Request>
  /** ends it when the client does not come back */
  held: NodeJS.Timeout | undefined
}

type Outcome = "answered" | "asked"

/** settles {@link Connection.server} */
interface Settled {
  readonly resolve: (result: Message.Result) => void
  readonly reject: (error: AnswerError) => void
}

/** See the module. */
export class Connection {
  /** the result of `initialize`; rejects where there is none */
  readonly server: Promise<Message.Result>
  readonly #options: Options
  readonly #calls = new Map<Message.Id, Call>()
  /** those that wait for their client, by the state that it has */
  readonly #held = new Map<string, Call>()
  readonly #settled: Settled | undefined
  #take: KeptPeer.KeptPeer["take"] = () => {}
  #nextId = 1
  /** requests that came before the handshake was answered */
  #waiting = 0
  /** what servers were told to log, by {@link severityOf} */
  #logs = Number.POSITIVE_INFINITY

  constructor(options: Options) {
    this.#options = options
    let settled: Settled | undefined
    this.server = new Promise((resolve, reject) => (settled = { resolve, reject }))
    this.#settled = settled
    this.server.catch(() => {})
  }

  /** how many calls there are, also those that wait for their client, and those that wait for the handshake: none may be taken for idle */
  get size(): number {
    return this.#calls.size + this.#waiting
  }

  /** Begins, on what takes its messages. */
  begin(take: KeptPeer.KeptPeer["take"]): void {
    this.#take = take
    const { capabilities, clientInfo } = this.#options.words
    const params = { protocolVersion: "2025-11-25", capabilities, clientInfo }
    take({ jsonrpc: "2.0", id: initialization, method: "initialize", params })
  }

  /** What the gateway delivers. */
  readonly deliver: KeptPeer.Deliver = (message, { relatedRequestId }) => {
    if (Message.isAnswer(message)) return this.#answered(message)
    const call = this.#callOf(message, relatedRequestId)
    if (Message.isRequest(message)) return this.#asks(message, call)
    const withdrawn = Message.cancelled(message)
    if (withdrawn !== undefined) return this.#withdraw(withdrawn)
    if (call === undefined) this.#options.onNotification(message)
    else call.tell(message)
  }

  /** Asks. Rejects with {@link AnswerError}, and when the client has gone. */
  async ask(asked: Asked): Promise<Message.Result> {
    this.#waiting++
    try {
      await this.server
    } finally {
      this.#waiting--
    }
    asked.signal.throwIfAborted()
    this.#log(asked.logLevel)
    const { inputResponses = {}, method, params, requestState } = asked
    if (requestState === undefined) return this.#wait(this.#call(asked), asked)
    const call = this.#held.get(requestState)
    if (call === undefined && !requestState.startsWith(ours)) return this.#wait(this.#call(asked), asked)
    if (call === undefined || call.method !== method || call.subject !== subjectOf(params)) {
      throw new AnswerError({ code: invalidParams, message: "Unknown or expired requestState" })
    }
    this.#held.delete(requestState)
    clearTimeout(call.held)
    call.tell = telling(asked, call.token)
    for (const [key, { id }] of call.told) {
      const response = inputResponses[key]
      this.#take(Message.isObject(response) ? { jsonrpc: "2.0", id, result: response } : Questions.unanswered(id))
    }
    call.told.clear()
    return this.#wait(call, asked)
  }

  /** Everything that waits ends. */
  end(): void {
    this.#settled?.reject(new AnswerError({ code: internalError, message: "The gateway has closed this connection" }))
    for (const call of [...this.#calls.values()]) this.#cancel(call)
    this.#held.clear()
  }

  #answered(answer: Message.Answer): void {
    if (answer.id === initialization) {
      if ("error" in answer) return this.#settled?.reject(new AnswerError(answer.error))
      this.#settled?.resolve(answer.result)
      return this.#take({ jsonrpc: "2.0", method: "notifications/initialized" })
    }
    const call = answer.id === undefined ? undefined : this.#calls.get(answer.id)
    if (call === undefined) return
    call.answer = answer
    call.outcome?.("answered")
  }

  /** Servers log what any request has wanted, and each request is told what it wants. */
  #log(level: string | undefined): void {
    const severity = severityOf(level)
    if (severity === -1 || severity >= this.#logs) return
    this.#logs = severity
    // nobody waits for its answer
    this.#take({ jsonrpc: "2.0", id: this.#nextId++, method: "logging/setLevel", params: { level } })
  }

  #call(asked: Asked): Call {
    const { method, params } = asked
    const id = this.#nextId++
    const meta = params?._meta
    const given = meta?.["progressToken"]
    const token = Message.isId(given) ? given : undefined
    const call: Call = {
      id,
      method,
      subject: subjectOf(params),
      token,
      tell: telling(asked, token),
      outcome: undefined,
      answer: undefined,
      asked: new Map(),
      told: new Map(),
      held: undefined
    }
    this.#calls.set(id, call)
    const followed = token === undefined ? params : { ...params, _meta: { ...meta, progressToken: id } }
    const sent = Questions.mayAsk(method) ? this.#handedOn(followed, asked) : followed
    this.#take({ jsonrpc: "2.0", id, method, ...(sent === undefined ? {} : { params: sent }) })
    return call
  }

  /** Where the server is of the same era, it answers to this client, and goes on with what that says. */
  #handedOn(params: Message.Params | undefined, { inputResponses, requestState }: Asked): Message.Params {
    const { capabilities, clientInfo } = this.#options.words
    const further = {
      ...params,
      ...(inputResponses === undefined ? {} : { inputResponses }),
      ...(requestState === undefined ? {} : { requestState })
    }
    return Peer.handOn(further, { capabilities, clientInfo })
  }

  /** Waits until the call is answered, or the server asks something. */
  #wait(call: Call, { signal }: Asked): Promise<Message.Result> {
    return new Promise((resolve, reject) => {
      const gone = () => {
        call.outcome = undefined
        this.#cancel(call)
        reject(signal.reason)
      }
      signal.addEventListener("abort", gone, { once: true })
      call.outcome = (outcome) => {
        if (outcome === "asked" && this.#held.size >= mostHeld) return this.#refuse(call)
        call.outcome = undefined
        signal.removeEventListener("abort", gone)
        if (outcome === "asked") return resolve(this.#hold(call))
        this.#calls.delete(call.id)
        const { answer } = call
        if (answer !== undefined && "result" in answer) resolve(answer.result)
        else reject(new AnswerError(answer?.error ?? { code: internalError, message: "Internal error" }))
      }
      // what has come since the client was answered last
      if (call.answer !== undefined) call.outcome("answered")
      else if (call.asked.size > 0) call.outcome("asked")
    })
  }

  /** The call goes on without its client, which gets what is asked. */
  #hold(call: Call): Message.Result {
    const requestState = `${ours}${randomUUID()}`
    const inputRequests: Record<string, unknown> = {}
    for (const [key, request] of call.asked) {
      const { method, params } = request
      inputRequests[key] = params === undefined ? { method } : { method, params }
      call.told.set(key, request)
    }
    call.asked.clear()
    this.#held.set(requestState, call)
    call.held = setTimeout(() => {
      this.#held.delete(requestState)
      this.#cancel(call)
    }, inputTimeout)
    call.held.unref()
    return { resultType: "input_required", inputRequests, requestState }
  }

  #asks(request: Message.Request, call: Call | undefined): void {
    const { id } = request
    const answer = Questions.answerOf(request, this.#options.words.capabilities)
    if (answer !== undefined) return this.#take(answer)
    if (call === undefined || !Questions.mayAsk(call.method)) return this.#take(Questions.unasked(id))
    call.asked.set(String(id), request)
    // what a server asks at the same time is told at once
    setImmediate(() => {
      if (call.asked.size > 0) call.outcome?.("asked")
    })
  }

  /** Too many wait: the call goes on without what the server has asked. */
  #refuse({ asked }: Call): void {
    const requests = [...asked.values()]
    asked.clear()
    for (const { id } of requests) this.#take(Questions.unasked(id))
  }

  /** The server waits no longer for what it has asked. */
  #withdraw(id: Message.Id): void {
    for (const { asked, told } of this.#calls.values()) {
      asked.delete(String(id))
      told.delete(String(id))
    }
  }

  #cancel(call: Call): void {
    clearTimeout(call.held)
    if (!this.#calls.delete(call.id)) return
    this.#take({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: call.id } })
  }

  /** The call that a message of the server's is about: said by its stream or its progress token, or the only one there is. */
  #callOf(message: Message.Request | Message.Notification, related: Message.Id | undefined): Call | undefined {
    const id = related ?? Message.progressOf(message)
    if (Message.isId(id)) return this.#calls.get(id)
    const [only, another] = this.#calls.values()
    const isOfCall = Message.isRequest(message) || message.method === "notifications/message"
    return isOfCall && another === undefined ? only : undefined
  }
}

/** An error that the gateway has answered with. */
export class AnswerError extends Error {
  readonly code: number
  readonly data: unknown

  constructor({ code, data, message }: Message.ErrorAnswer["error"]) {
    super(message)
    this.code = code
    this.data = data
  }
}

/** With this begins the state of calls that are held here: any other is a server's. */
const ours = `${randomUUID()}:`

/** The id of the handshake, which no call has. */
const initialization = 0

/** JSON-RPC 2.0, section 5.1. */
const [invalidParams, internalError] = [-32602, -32603]

/** The tool, the prompt or the resource. */
const subjectOf = (params: Message.Params | undefined): unknown => params?.["name"] ?? params?.["uri"]
