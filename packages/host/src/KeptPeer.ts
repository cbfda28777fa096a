/**
 * Joins one host, which is a client of any framework, to one backend, message by message: the host initializes once, and its
 * connection does not end while sessions with the server come and go. Each session is initialized with the host's own words, so
 * that the server knows what the host can be asked (sampling, elicitation, roots).
 *
 * It knows no framework and no SDK: adapters put it where theirs takes a connection.
 */
import { Backend, BackendError, type Connector, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { Message, Peer, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ErrorAnswer from "./ErrorAnswer.ts"
import type { Deliver } from "./internal/delivery.ts"
import * as Handshake from "./internal/handshake.ts"
import { HostEnd } from "./internal/hostEnd.ts"
import { ServerRequests } from "./internal/serverRequests.ts"

// ------------------------------------------------------------------------------------------------------------- models

/** @since 0.1.0 */
export type { About, Deliver } from "./internal/delivery.ts"

/**
 * What a kept connection is made of.
 *
 * @since 0.1.0
 */
export interface Options<R = never> {
  /** names the backend in errors, events and metrics; not empty */
  readonly id: string
  /** How to reach the server: a connector of `…/transport-http/peer` or `…/transport-stdio/peer`, without a `peer` of its own. */
  readonly connector: Connector.Connector<Peer.Peer, R>
  /** Laid over the policy of the context. What it says of `connect` does not matter where the host's own `initialize` connects. */
  readonly policy?: KeepalivePolicy.Options | undefined
  /**
   * How long `initialize` waits for a server that is down before it is answered with an error. Default: 50 s, since clients of the
   * SDKs wait for 60
   */
  readonly initializeTimeout?: Duration.Input | undefined
  /**
   * The host's parameters of `initialize`, where it has said them to somebody else, such as a gateway in front of many servers. The
   * connection is one that was initialized with them then: requests are taken from the start, whether the server is there or not, and
   * the policy says when to connect. Default: the host says them itself
   */
  readonly initialize?: Message.Params | undefined
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface KeptPeer {
  /**
   * A message of the host's, as it is: what is none is answered as JSON-RPC says. An abort of the signal ends the waiting for the
   * answer to that request, as `notifications/cancelled` does. It never throws.
   */
  readonly take: (message: unknown, options?: { readonly signal?: AbortSignal | undefined }) => void
  /** to see it, and to operate it */
  readonly backend: Backend.Backend<Peer.Peer>
  /** what the server said of itself in the newest session; `undefined` before there was one */
  readonly server: Peer.Server | undefined
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A kept connection whose host gets its messages through `deliver`, which must not throw. It ends with the scope: what the host
 * has asked is cancelled and not answered.
 *
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: Options<R>,
  deliver: Deliver
): Effect.fn.Return<KeptPeer, BackendError.ConfigurationError, Scope.Scope | R> {
  yield* check(options)
  const kept = new Kept(options, deliver, yield* Effect.context<never>())
  kept.backend = yield* Backend.make({
    id: options.id,
    connector: options.connector,
    policy: options.initialize === undefined ? { ...options.policy, connect: "lazy" } : options.policy,
    setup: (peer) => kept.setup(peer)
  }).pipe(
    Effect.provideService(Peer.Factory, kept.makePeer),
    Effect.provide(KeepaliveEvent.layerObserver((event) => kept.observe(event)))
  )
  // first, since the end of the backend fails what the host has asked, and nobody is there to be told
  yield* Effect.addFinalizer(() => Effect.sync(() => kept.end()))
  return kept
})

/**
 * Fails with everything that is wrong in the options, as {@link make} does, and starts nothing.
 *
 * @since 0.1.0
 */
export const check = <R = never>(options: Options<R>): Effect.Effect<void, BackendError.ConfigurationError, R> => {
  const own = isBound(initializeTimeoutOf(options)) ? [] : [initializeTimeoutIssue]
  const checked = Effect.provideService(Backend.check(options), Peer.Factory, Peer.make)
  return Effect.matchEffect(checked, {
    onSuccess: () => (own.length === 0 ? Effect.void : Effect.fail(wrong(options.id, own))),
    onFailure: ({ issues }) => Effect.fail(wrong(options.id, [...issues, ...own]))
  })
}

// ----------------------------------------------------------------------------------------------------------- internal

const wrong = (backend: string, issues: ReadonlyArray<BackendError.ConfigurationIssue>) =>
  new BackendError.ConfigurationError({ backend, issues })

const initializeTimeoutIssue = { path: ["initializeTimeout"], expected: "a finite duration longer than 0" }

const initializeTimeoutOf = ({
  initializeTimeout = "50 seconds"
}: Pick<Options, "initializeTimeout">): Duration.Duration =>
  Option.getOrElse(Duration.fromInput(initializeTimeout), () => Duration.zero)

const isBound = (duration: Duration.Duration): boolean => Duration.isFinite(duration) && Duration.isPositive(duration)

class Kept implements KeptPeer {
  readonly take: KeptPeer["take"]
  declare backend: Backend.Backend<Peer.Peer>
  readonly #id: string
  readonly #initializeTimeout: Duration.Duration
  readonly #host: HostEnd
  readonly #serverRequests = new ServerRequests()
  /** the host's requests by the ids that they have on the wire, which never repeat either */
  readonly #onWire = new Map<Message.Id, Message.Id>()
  readonly #subscriptions = new Set<string>()
  /** the host's own parameters of `initialize` */
  #initialize: Message.Params | undefined
  /** what the server said in the newest session */
  #newest: Peer.Server | undefined
  /** what it said when the host initialized, which is what the host knows of it */
  #server: Peer.Server | undefined
  #logLevel: Message.Params | undefined
  /** with what words of the host's a session was initialized */
  readonly #words = new WeakMap<Peer.Peer, Message.Params>()
  /** of the sessions that are open, the newest last: one that is to replace another may still not come about */
  readonly #peers = new Set<Peer.Peer>()
  #nextId = 1

  constructor(
    options: Pick<Options, "id" | "initialize" | "initializeTimeout">,
    deliver: Deliver,
    context: Context.Context<never>
  ) {
    this.#id = options.id
    this.#initialize = options.initialize
    this.#initializeTimeout = initializeTimeoutOf(options)
    this.#host = new HostEnd({
      deliver,
      context,
      isOpen: options.initialize !== undefined,
      far: {
        initialize: (params) => this.#initialized(params),
        ask: (request, idempotent) => this.#asked(request, idempotent),
        answered: (answer) => {
          const answered = this.#serverRequests.answered(answer)
          if (answered !== undefined) this.#answer(answered.peer, answered.message)
        },
        progress: (token, notification) => {
          const progress = this.#serverRequests.progress(token, notification)
          if (progress !== undefined) this.#notify(progress.peer, progress.message)
        },
        // A server that has no session now has nothing to be told: the next one asks anew.
        notify: (notification) => this.#peer && this.#notify(this.#peer, notification)
      }
    })
    this.take = this.#host.take
  }

  // ------------------------------------------------------------------------------------------------- sessions

  readonly makePeer = (): Peer.Peer => {
    const words = this.#initialize ?? {}
    const peer = Peer.make({
      initialize: Handshake.ofSession(words, this.#server),
      onMessage: (message, about, peer) => this.#fromServer(message, about, peer),
      onClose: (peer) => this.#sessionEnded(peer)
    })
    this.#words.set(peer, words)
    return peer
  }

  /** A session is open, and the server has not been told of what the host has set on earlier ones. */
  setup(peer: Peer.Peer): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#peers.add(peer)
      this.#newest = peer.server
      // a host that has said its words elsewhere knows the server from its first session on
      if (this.#host.phase === "open") this.#server ??= peer.server
      const params = this.#logLevel
      // The server's refusal is no reason to do without it; that it does not answer is seen by the probe that follows.
      return params === undefined
        ? Effect.void
        : Effect.ignore(
            Effect.tryPromise((signal) => peer.request({ method: setLevel, params }, { signal, id: this.#nextId++ }))
          )
    })
  }

  observe(event: KeepaliveEvent.KeepaliveEvent): void {
    const server = this.#server
    if (event._tag !== "AttemptSucceeded" || event.generation === 1 || server === undefined) return
    // Not in the midst of the backend's own actions: what the host does then may be to call it.
    queueMicrotask(() => {
      for (const notification of Handshake.afterSession(server, this.#subscriptions)) this.#host.tell(notification, {})
    })
  }

  get server(): Peer.Server | undefined {
    return this.#newest
  }

  get #peer(): Peer.Peer | undefined {
    return [...this.#peers].at(-1)
  }

  #sessionEnded(peer: Peer.Peer): void {
    this.#peers.delete(peer)
    for (const notification of this.#serverRequests.ended(peer)) this.#host.tell(notification, {})
  }

  // ---------------------------------------------------------------------------------------------- from the server

  #fromServer(message: Message.Request | Message.Notification, about: Requests.About, peer: Peer.Peer): void {
    if (this.#host.phase === "closed") return
    if ("id" in message) {
      if (message.method === "ping") this.#answer(peer, { jsonrpc: "2.0", id: message.id, result: {} })
      else this.#host.tell(this.#serverRequests.received(peer, message), this.#related(about))
      return
    }
    const cancelled = Message.cancelled(message)
    if (cancelled === undefined) return this.#host.tell(message, this.#related(about))
    const notification = this.#serverRequests.cancelled(peer, cancelled, message)
    if (notification !== undefined) this.#host.tell(notification, {})
  }

  #related({ relatedRequestId }: Requests.About): Requests.About {
    const id = relatedRequestId === undefined ? undefined : this.#onWire.get(relatedRequestId)
    return id === undefined ? {} : { relatedRequestId: id }
  }

  // ------------------------------------------------------------------------------------------------ from the host

  #initialized(params: Message.Params): Effect.Effect<Message.Result, Message.ErrorAnswer["error"]> {
    const { backend } = this
    this.#initialize = params
    return backend.awaitConnected.pipe(
      Effect.tap(() => (this.#hasOtherWords ? Effect.andThen(backend.reconnect, backend.awaitConnected) : Effect.void)),
      Effect.mapError(ErrorAnswer.ofCall),
      Effect.timeoutOrElse({ duration: this.#initializeTimeout, orElse: () => this.#unreachable }),
      Effect.flatMap(() => {
        const server = this.#newest
        if (server === undefined) return this.#unreachable
        this.#server = server
        return Effect.succeed(Handshake.shown(server))
      })
    )
  }

  /** Whether the session is one that an earlier `initialize` has begun, which was cancelled or answered with an error. */
  get #hasOtherWords(): boolean {
    const words = this.#peer && this.#words.get(this.#peer)
    return words !== undefined && JSON.stringify(words) !== JSON.stringify(this.#initialize)
  }

  get #unreachable(): Effect.Effect<never, Message.ErrorAnswer["error"]> {
    return Effect.flatMap(Effect.zip(this.backend.state, Clock.currentTimeMillis), ([state, now]) =>
      Effect.fail(ErrorAnswer.ofState(this.#id, state, now))
    )
  }

  #asked(
    { id, method, params }: Message.Request,
    idempotent: boolean
  ): Effect.Effect<Message.Result, Message.ErrorAnswer["error"]> {
    const question: Requests.Question = params === undefined ? { method } : { method, params }
    const onAnswer = () => this.#host.expect(id)
    const ask = this.backend.use(
      (peer, signal) => {
        const onWire = this.#nextId++
        this.#onWire.set(onWire, id)
        const forget = () => this.#onWire.delete(onWire)
        const asked = peer.request(question, { id: onWire, signal, onAnswer })
        asked.then(forget, forget)
        return asked
      },
      { idempotent }
    )
    return Effect.matchEffect(ask, {
      onSuccess: (result) => {
        this.#remember(method, params)
        return Effect.succeed(result)
      },
      onFailure: (error) => Effect.fail(ErrorAnswer.ofCall(error))
    })
  }

  /** What the server is to be told, or the host, when the session has changed. (The transport subscribes again by itself.) */
  #remember(method: string, params: Message.Params | undefined): void {
    const uri = params?.["uri"]
    if (method === setLevel) this.#logLevel = params
    else if (method === "resources/subscribe" && typeof uri === "string") this.#subscriptions.add(uri)
    else if (method === "resources/unsubscribe" && typeof uri === "string") this.#subscriptions.delete(uri)
  }

  // ------------------------------------------------------------------------------------------------ to the server

  // Who cannot be told any more has lost its session, which is learned elsewhere.

  #answer(peer: Peer.Peer, answer: Message.Answer): void {
    peer.answer(answer).catch(() => {})
  }

  #notify(peer: Peer.Peer, { method, params }: Message.Notification): void {
    peer.notification(params === undefined ? { method } : { method, params }).catch(() => {})
  }

  // ---------------------------------------------------------------------------------------------------------- end

  end(): void {
    this.#host.end()
  }
}

const setLevel = "logging/setLevel"
