/**
 * Joins many hosts to one backend, all on the same session: for servers of which there is one only, such as a child process. The session
 * declares no capabilities of a client, so that the server asks nothing of hosts: it could not say of which.
 *
 * Ids and progress tokens that hosts use at the same time are told apart; what a server sends goes to the host that it is about, and to
 * all where it is about none. Subscriptions are counted, and the server logs what the most curious host wants.
 */
import type { Backend, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Message, type Peer, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ErrorAnswer from "./ErrorAnswer.ts"
import type { Deliver } from "./internal/delivery.ts"
import * as Handshake from "./internal/handshake.ts"
import { HostSide, type Port } from "./internal/hostSide.ts"
import * as LogLevel from "./internal/logLevel.ts"
import type { KeptPeer } from "./KeptPeer.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What hosts have in common.
 *
 * @since 0.1.0
 */
export interface Options {
  /** the backend, whose peers are made without a `peer` and a `Peer.Factory` of one's own */
  readonly backend: Backend.Backend<Peer.Peer>
  /** How long a host's `initialize` waits for a server that is down before it is answered with an error. Default: 50 s */
  readonly initializeTimeout?: Duration.Input | undefined
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface SharedPeer {
  /**
   * A host comes, which gets its messages through `deliver`, which must not throw. It leaves with the scope: what it has asked is
   * cancelled, and its subscriptions end where no other host has them.
   */
  readonly join: (deliver: Deliver) => Effect.Effect<Pick<KeptPeer, "take">, never, Scope.Scope>
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A backend that hosts may join, for as long as the scope lasts. The backend is its maker's matter.
 *
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* ({
  backend,
  initializeTimeout = "50 seconds"
}: Options): Effect.fn.Return<SharedPeer, never, Scope.Scope> {
  const shared = new Shared(backend, Duration.fromInputUnsafe(initializeTimeout), yield* Effect.context<never>())
  yield* Effect.forkScoped(
    Stream.runForEach(backend.events, (event) => Effect.sync(() => shared.observe(event))),
    { startImmediately: true }
  )
  return shared
})

// ----------------------------------------------------------------------------------------------------------- internal

/** A request of a host's that is on the wire. */
interface OnWire {
  readonly host: Joined
  readonly id: Message.Id
  /** its progress token as the host has it */
  readonly token: Message.Id | undefined
}

class Shared implements SharedPeer {
  readonly backend: Backend.Backend<Peer.Peer>
  readonly initializeTimeout: Duration.Duration
  readonly hosts = new Set<Joined>()
  readonly #context: Context.Context<never>
  /** by the id on the wire, which is the progress token there as well; none is used twice */
  readonly #onWire = new Map<Message.Id, OnWire>()
  #nextId = 1
  /** what the server said when a session was looked at last */
  server: Peer.Server | undefined

  constructor(
    backend: Backend.Backend<Peer.Peer>,
    initializeTimeout: Duration.Duration,
    context: Context.Context<never>
  ) {
    this.backend = backend
    this.initializeTimeout = initializeTimeout
    this.#context = context
  }

  readonly join: SharedPeer["join"] = (deliver) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const host = new Joined(this, deliver, this.#context)
        this.hosts.add(host)
        return host
      }),
      (host) =>
        Effect.sync(() => {
          this.hosts.delete(host)
          host.end()
        })
    )

  /** Asks the server on behalf of a host. */
  ask(
    host: Joined,
    { id, method, params }: Message.Request,
    idempotent: boolean,
    onAnswer: () => void
  ): Effect.Effect<Message.Result, Message.ErrorAnswer["error"]> {
    const asked = this.backend.use(
      (peer, signal) => {
        this.#attend(peer)
        const onWire = this.#nextId++
        const meta = params?._meta
        const token = meta?.["progressToken"]
        const question: Requests.Question =
          params === undefined
            ? { method }
            : {
                method,
                params: Message.isId(token) ? { ...params, _meta: { ...meta, progressToken: onWire } } : params
              }
        this.#onWire.set(onWire, { host, id, token: Message.isId(token) ? token : undefined })
        const forget = () => this.#onWire.delete(onWire)
        const answer = peer.request(question, { id: onWire, signal, onAnswer })
        answer.then(forget, forget)
        return answer
      },
      { idempotent }
    )
    return Effect.mapError(asked, ErrorAnswer.ofCall)
  }

  /** Looks at the server: once the backend is connected. */
  get look(): Effect.Effect<Peer.Server | undefined, Message.ErrorAnswer["error"]> {
    const looked = this.backend.use((peer) =>
      Effect.sync(() => {
        this.#attend(peer)
        return peer.server
      })
    )
    return Effect.mapError(Effect.andThen(this.backend.awaitConnected, looked), ErrorAnswer.ofCall)
  }

  /** A host's log level has changed: the server is told what the most curious wants. */
  setLevel(): Effect.Effect<Message.Result, Message.ErrorAnswer["error"]> {
    const params = this.#logLevel
    if (params === undefined) return Effect.succeed({})
    return Effect.mapError(
      this.backend.use(
        (peer, signal) => peer.request({ method: LogLevel.method, params }, { signal, id: this.#nextId++ }),
        {
          idempotent: true
        }
      ),
      ErrorAnswer.ofCall
    )
  }

  unsubscribe(host: Joined, uri: string, id: Message.Id): Effect.Effect<Message.Result, Message.ErrorAnswer["error"]> {
    for (const other of this.hosts) if (other !== host && other.subscriptions.has(uri)) return Effect.succeed({})
    return this.ask(host, { jsonrpc: "2.0", id, method: "resources/unsubscribe", params: { uri } }, true, () => {})
  }

  /** The host has left, and nobody waits for what this says. */
  left(host: Joined): void {
    for (const uri of host.subscriptions) {
      if ([...this.hosts].some((other) => other.subscriptions.has(uri))) continue
      this.#run((peer) => peer.request({ method: "resources/unsubscribe", params: { uri } }, { id: this.#nextId++ }))
    }
  }

  observe(event: KeepaliveEvent.KeepaliveEvent): void {
    if (event._tag !== "AttemptSucceeded" || this.hosts.size === 0) return
    // The transport subscribes again by itself, and the log level is not its matter.
    this.#run((peer) => {
      const params = this.#logLevel
      return params === undefined
        ? Promise.resolve()
        : peer.request({ method: LogLevel.method, params }, { id: this.#nextId++ })
    })
    if (event.generation === 1) return
    for (const host of this.hosts) host.changed()
  }

  /** Says something to a server that nobody waits for: one that cannot be told has lost its session, which is learned elsewhere. */
  #run(say: (peer: Peer.Peer) => Promise<unknown>): void {
    const said = this.backend.use(
      (peer) => {
        this.#attend(peer)
        return say(peer)
      },
      { idempotent: true }
    )
    Effect.runForkWith(this.#context)(Effect.ignore(said))
  }

  get #logLevel(): Message.Params | undefined {
    const level = LogLevel.least([...this.hosts].map(({ level }) => level))
    return level === undefined ? undefined : { level }
  }

  /** Hears what the session tells: once for each, however often this is called. */
  #attend(peer: Peer.Peer): void {
    peer.listen(this.#listener)
    this.server = peer.server ?? this.server
  }

  readonly #listener: Peer.Listener = {
    onNotification: (notification, about) => this.#told(notification, about)
  }

  #told(notification: Message.Notification, { relatedRequestId }: Requests.About): void {
    const token = Message.progressOf(notification)
    if (Message.isId(token)) {
      const asked = this.#onWire.get(token)
      if (asked?.token === undefined) return
      const params = { ...notification.params, progressToken: asked.token }
      return asked.host.tell({ ...notification, params }, { relatedRequestId: asked.id })
    }
    const related = relatedRequestId === undefined ? undefined : this.#onWire.get(relatedRequestId)
    if (related !== undefined) return related.host.tell(notification, { relatedRequestId: related.id })
    // of a request that the server has made, and the session has answered by itself
    if (Message.cancelled(notification) !== undefined) return
    for (const host of this.hosts) if (host.isAbout(notification)) host.tell(notification)
  }
}

/** One of the hosts. */
class Joined implements Pick<KeptPeer, "take">, Port {
  readonly subscriptions = new Set<string>()
  level: LogLevel.Level | undefined
  readonly #shared: Shared
  readonly #side: HostSide
  /** what the server said when the host initialized */
  #server: Peer.Server | undefined

  constructor(shared: Shared, deliver: Deliver, context: Context.Context<never>) {
    this.#shared = shared
    this.#side = new HostSide(this, deliver, context)
  }

  readonly take: KeptPeer["take"] = (value, { signal } = {}) => this.#side.take(value, signal)

  readonly initialize: Port["initialize"] = () => {
    const { backend, initializeTimeout, look } = this.#shared
    const unreachable = Effect.flatMap(Effect.zip(backend.state, Clock.currentTimeMillis), ([state, now]) =>
      Effect.fail(ErrorAnswer.ofState(backend.id, state, now))
    )
    return look.pipe(
      Effect.timeoutOrElse({ duration: initializeTimeout, orElse: () => unreachable }),
      Effect.flatMap((server) => {
        if (server === undefined) return unreachable
        this.#server = server
        return Effect.succeed(Handshake.shown(server))
      })
    )
  }

  readonly ask: Port["ask"] = (request, idempotent, onAnswer) => {
    const { method, params } = request
    const uri = params?.["uri"]
    if (method === LogLevel.method && LogLevel.is(params?.["level"])) {
      this.level = params["level"]
      return this.#shared.setLevel()
    }
    if (method === "resources/unsubscribe" && typeof uri === "string") {
      this.subscriptions.delete(uri)
      return this.#shared.unsubscribe(this, uri, request.id)
    }
    const asked = this.#shared.ask(this, request, idempotent, onAnswer)
    if (method !== "resources/subscribe" || typeof uri !== "string") return asked
    return Effect.tap(asked, () => Effect.sync(() => this.subscriptions.add(uri)))
  }

  // The server asks this host nothing.
  readonly answer: Port["answer"] = () => {}
  readonly progress: Port["progress"] = () => {}

  // What a host has to tell is of its own capabilities (roots/list_changed), of which the session declares none.
  readonly notify: Port["notify"] = () => {}

  tell(message: Message.Notification, about?: Requests.About): void {
    this.#side.tell(message, about)
  }

  /** There is another session. */
  changed(): void {
    const server = this.#server
    if (server === undefined) return
    for (const notification of Handshake.afterSession(server, this.subscriptions)) this.#side.tell(notification)
  }

  /** Whether this host wants to know: of what belongs to no request. */
  isAbout({ method, params }: Message.Notification): boolean {
    if (method === "notifications/message") return LogLevel.isEnough(params?.["level"], this.level)
    if (method !== "notifications/resources/updated") return true
    const uri = params?.["uri"]
    // a server may tell of a part of what was subscribed to
    return typeof uri === "string" && [...this.subscriptions].some((each) => uri.startsWith(each))
  }

  end(): void {
    this.#side.end()
    this.#shared.left(this)
  }
}
