/**
 * An endpoint of MCP's Streamable HTTP (2025-11-25) without a port, which answers by itself. Each `initialize` opens a session of its
 * own.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { Deliver } from "../delivery.ts"
import type { Opened } from "../keeper.ts"
import { EventStream } from "./eventStream.ts"
import { type Answer, type Asked, askedOf, responseOf } from "./exchange.ts"
import { HostSession } from "./hostSession.ts"
import { bodyBytes, isRefusal, readBody, readHead, type Refusal, refusals, refuse } from "./httpRequest.ts"

/** What it is made of. */
export interface Options {
  /** the id of the backend */
  readonly id: string
  /** Opens the connection of a session. */
  readonly open: (deliver: Deliver) => Promise<Pick<Opened, "take" | "close">>
  /** How many sessions there may be. */
  readonly maxSessions: number
  /** What sessions are called, and which may be opened again. Default: drawn at random, and none may. */
  readonly ids?: Ids | undefined
  /** What one stream holds that is not read, see {@link EventStream}. */
  readonly most?: number | undefined
}

/** What sessions are called. */
export interface Ids {
  /** A new id, visible ASCII, for who has initialized with these parameters. Each is used once. */
  readonly make: (initialize: Message.Params) => string
  /** The parameters with which a session of this id was initialized, which this endpoint does not know; `undefined` where it never was. */
  readonly resume: (id: string) => Message.Params | undefined
}

const atRandom: Ids = { make: () => crypto.randomUUID(), resume: () => undefined }

/** Sessions that their hosts have ended are not opened again. So many are remembered: what is older is not asked for by anybody. */
const mostTerminated = 10_000

/** See the module. */
export class Endpoint {
  readonly #options: Options
  /** by id; what was not used for the longest time comes first */
  readonly #sessions = new Map<string, HostSession>()
  /** of sessions that hold something yet */
  readonly #endings = new Set<Promise<void>>()
  readonly #resuming = new Map<string, Promise<HostSession | Refusal>>()
  readonly #terminated = new Set<string>()
  /** that were not used since {@link endUnused} was called last */
  #unused = new Set<HostSession>()
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  /** How many sessions there are. */
  get size(): number {
    return this.#sessions.size
  }

  /** Rejects with the reason of the signal, like every `fetch`, and with what keeps a connection from being made. */
  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> =>
    responseOf(await this.answer(askedOf(input, init)))

  /** The same without objects of the Web's. */
  readonly answer = async ({ body, headers, method: asked, signal }: Asked): Promise<Answer> => {
    signal?.throwIfAborted()
    const method = readHead(asked, headers)
    if (isRefusal(method)) return refuse(method)
    const id = headers.get("mcp-session-id")
    if (method === "POST") {
      const message = await messageOf(body)
      signal?.throwIfAborted()
      return isRefusal(message) ? refuse(message) : this.#post(id, message, signal)
    }
    const session = await this.#find(id)
    signal?.throwIfAborted()
    if (isRefusal(session)) return refuse(session)
    if (method === "GET") return answered(session, session.listen(signal))
    this.#terminate(session)
    return { status: 200, headers: {} }
  }

  /** Ends the sessions without a request under way and without a reader that were not used since this was called last. */
  readonly endUnused = (): void => {
    const isUnused = ({ isAttended, isIdle }: HostSession) => isIdle && !isAttended
    for (const session of this.#unused) if (isUnused(session)) this.#end(session)
    this.#unused = new Set([...this.#sessions.values()].filter(isUnused))
  }

  /** Ends all sessions: what is under way is answered with an error. Resolves when everything that they held is freed. */
  readonly close = async (): Promise<void> => {
    this.#isClosed = true
    for (const session of [...this.#sessions.values()]) this.#end(session)
    await Promise.all(this.#endings)
  }

  async #post(id: string | null, message: Message.Message, signal: AbortSignal | undefined): Promise<Answer> {
    const isInitialize = Message.isRequest(message) && message.method === "initialize"
    // what is known needs no turn of its own
    const known = (id !== null && !this.#resuming.has(id) && this.#sessions.get(id)) || (await this.#find(id))
    signal?.throwIfAborted()
    if (!isInitialize) return isRefusal(known) ? refuse(known) : answered(known, known.post(message, signal))
    if (!isRefusal(known)) return refuse(refusals.initialized)
    const session = await this.#start(this.#ids.make(message.params ?? {}), signal)
    return isRefusal(session) ? refuse(session) : answered(session, session.post(message, signal))
  }

  get #ids(): Ids {
    return this.#options.ids ?? atRandom
  }

  async #find(id: string | null): Promise<HostSession | Refusal> {
    if (id === null) return refusals.noSession
    const known = this.#resuming.get(id) ?? this.#sessions.get(id)
    if (known !== undefined) return known
    const params = this.#terminated.has(id) ? undefined : this.#ids.resume(id)
    if (params === undefined) return refusals.unknownSession
    const resuming = this.#resume(id, params).finally(() => this.#resuming.delete(id))
    this.#resuming.set(id, resuming)
    return resuming
  }

  /** Opens a session again that an endpoint before this one has known: its host need not know. */
  async #resume(id: string, params: Message.Params): Promise<HostSession | Refusal> {
    const session = await this.#start(id)
    if (isRefusal(session)) return session
    const initialized = session.post({ jsonrpc: "2.0", id: resumption, method: "initialize", params }, undefined)
    // its host has had this answer long ago
    if (initialized instanceof EventStream) await ended(initialized)
    if (!this.#sessions.has(id)) return refusals.unknownSession
    session.post({ jsonrpc: "2.0", method: "notifications/initialized" }, undefined)
    return session
  }

  /** A session that is started. */
  async #start(id: string, signal?: AbortSignal): Promise<HostSession | Refusal> {
    const session = this.#make(id)
    if (isRefusal(session)) return session
    try {
      await session.start()
      signal?.throwIfAborted()
    } catch (error) {
      this.#end(session)
      throw error
    }
    return session
  }

  #terminate(session: HostSession): void {
    this.#terminated.add(session.id)
    for (const oldest of this.#terminated) {
      if (this.#terminated.size <= mostTerminated) break
      this.#terminated.delete(oldest)
    }
    this.#end(session)
  }

  /** A session that is to be started, in the place of an idle one where there are too many. */
  #make(id: string): HostSession | Refusal {
    if (this.#isClosed) return refusals.closed
    if (this.#sessions.size >= this.#options.maxSessions) {
      const oldest = leastOf(this.#sessions.values())
      if (oldest === undefined) return refusals.tooMany
      this.#end(oldest)
    }
    const session: HostSession = new HostSession({
      id,
      backend: this.#options.id,
      open: this.#options.open,
      most: this.#options.most,
      used: () => {
        this.#unused.delete(session)
        if (this.#sessions.delete(id)) this.#sessions.set(id, session)
      },
      ended: () => {
        this.#unused.delete(session)
        this.#sessions.delete(id)
        this.#end(session)
      }
    })
    this.#sessions.set(id, session)
    return session
  }

  #end(session: HostSession): void {
    const ending = session.end()
    if (this.#endings.has(ending)) return
    this.#endings.add(ending)
    const forget = () => this.#endings.delete(ending)
    ending.then(forget, forget)
  }
}

/** The id of the `initialize` that nobody waits for: no host's request has it, since none is taken before it is answered. */
const resumption = "resumption"

/** The session that is missed the least: of those without a request under way one that nobody listens to, if there is any. */
const leastOf = (sessions: Iterable<HostSession>): HostSession | undefined => {
  const idle = Array.from(sessions).filter(({ isIdle }) => isIdle)
  return idle.find(({ isAttended }) => !isAttended) ?? idle[0]
}

const decoded = new TextDecoder()

/** The message in the body, which is read no further than one may be long. */
const messageOf = async (body: Asked["body"]): Promise<Message.Message | Refusal> => {
  if (body === null) return refusals.json
  if (typeof body === "string" || body instanceof Uint8Array) {
    if (Buffer.byteLength(body) > bodyBytes) return refusals.tooLarge
    return readBody(typeof body === "string" ? body : decoded.decode(body))
  }
  const decoder = new TextDecoder()
  let text = ""
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > bodyBytes) return refusals.tooLarge
    text += decoder.decode(chunk, { stream: true })
  }
  return readBody(text + decoder.decode())
}

/** Reads it to its end. */
const ended = async (stream: EventStream): Promise<void> => {
  while ((await stream.next())._tag === "Some");
}

const answered = ({ id }: HostSession, body: EventStream | Refusal | undefined): Answer => {
  if (isRefusal(body)) return refuse(body)
  return body === undefined ? accepted : { status: 200, headers: { "mcp-session-id": id }, body }
}

const accepted: Answer = { status: 202, headers: {} }
