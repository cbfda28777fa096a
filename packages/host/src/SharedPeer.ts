/**
 * Joins many hosts to one backend, message by message, in the one session that it has: for servers that are a process, or cost much.
 *
 * To each host it is as `KeptPeer` is, with what follows from sharing: the server is told of no capabilities of a host, and so asks
 * none of them. Progress reaches the host that has asked for it, and a log message each whose level it is at; the server has the most
 * verbose of the levels, and each resource is subscribed to while one of the hosts has.
 */
import type { Backend, BackendError, ConnectionState } from "@vmcp-keepalive/core"
import { Message, type Peer, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ErrorAnswer from "./ErrorAnswer.ts"
import type { Deliver } from "./internal/delivery.ts"
import * as Handshake from "./internal/handshake.ts"
import { HostEnd } from "./internal/hostEnd.ts"
import * as SharedHost from "./internal/sharedHost.ts"
import type { KeptPeer } from "./KeptPeer.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What a shared connection is made of.
 *
 * @since 0.1.0
 */
export interface Options {
  /** whose session it is; its peers are made by default, without capabilities */
  readonly backend: Backend.Backend<Peer.Peer>
  /** As of `KeptPeer`. Default: 50 s */
  readonly initializeTimeout?: Duration.Input | undefined
}

/**
 * One host's part.
 *
 * @since 0.1.0
 */
export interface Part extends Pick<KeptPeer, "take" | "server"> {
  /** Waits, without a bound, until there is a session, and {@link server} is what was said in it. Fails only when the backend is isolated or its scope has ended. */
  readonly connected: Effect.Effect<void, BackendError.CallRejected>
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface SharedPeer {
  /**
   * A host has come, which gets its messages through `deliver`; it leaves with the scope, and gives back what it has subscribed to. Where
   * it `isOpen`, it has initialized somewhere else, and its requests are taken from the start.
   */
  readonly open: (
    deliver: Deliver,
    options?: { readonly isOpen?: boolean | undefined }
  ) => Effect.Effect<Part, never, Scope.Scope>
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A shared connection, until the scope ends.
 *
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<SharedPeer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { backend } = options
    const state = yield* backend.state
    const shared = new Shared(options, state, yield* Effect.context<never>())
    // states and not events, of which each call has two
    const heard = Stream.runForEach(backend.changes, (state) => shared.changed(state))
    yield* Effect.forkScoped(heard, { startImmediately: true })
    if (generationOf(state) !== undefined) yield* Effect.forkScoped(shared.met)
    return shared
  })

// ----------------------------------------------------------------------------------------------------------- internal

type RpcError = Message.ErrorAnswer["error"]

type State = ConnectionState.ConnectionState

/** Of the session that is open. */
const generationOf = (state: State): number | undefined =>
  state._tag === "Connected" || state._tag === "Unhealthy" ? state.generation : undefined

/** Whether both are of one session. Who is connected anew has another one, also where generations are counted anew. */
const isOneSession = (before: State, now: State): boolean =>
  generationOf(before) === generationOf(now) &&
  !(before._tag === "Connected" && now._tag === "Connected" && before.since !== now.since)

/** A request under way, by the token of its progress and by its id on the wire. */
interface Asked {
  readonly host: HostPart
  /** the host's own id of the request */
  readonly id: Message.Id
  /** the host's own token of its progress */
  readonly token: Message.Id | undefined
}

class Shared implements SharedPeer {
  readonly backend: Backend.Backend<Peer.Peer>
  readonly context: Context.Context<never>
  readonly hosts = new Set<HostPart>()
  /** by progress token, which never repeats */
  readonly byToken = new Map<string, Asked>()
  /** by id on the wire, of each session, which is known by what the server said in it: each call sees a peer of its own */
  readonly byId = new WeakMap<Peer.Server, Map<Message.Id, Asked>>()
  readonly #initializeTimeout: Duration.Duration
  /** of the backend, as far as it was heard of */
  #state: State
  /** what the server said in the newest session */
  server: Peer.Server | undefined
  /** what the server was told, in the newest session */
  #level: string | undefined
  /** the session of which hosts know */
  #known: Peer.Server | undefined
  #nextToken = 0

  constructor({ backend, initializeTimeout = "50 seconds" }: Options, state: State, context: Context.Context<never>) {
    this.backend = backend
    this.#state = state
    this.context = context
    this.#initializeTimeout = Duration.fromInputUnsafe(initializeTimeout)
  }

  open(deliver: Deliver, { isOpen = false }: { readonly isOpen?: boolean | undefined } = {}) {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const host = new HostPart(this, deliver, isOpen)
        this.hosts.add(host)
        return host
      }),
      (host) => this.#left(host)
    )
  }

  // ------------------------------------------------------------------------------------------------- sessions

  /** Listens to the peer of the session that is open, once. */
  readonly met: Effect.Effect<void> = Effect.suspend(() =>
    Effect.ignore(
      this.backend.use(
        (peer) => {
          this.meet(peer)
          return Promise.resolve()
        },
        { idempotent: true }
      )
    )
  )

  meet(peer: Peer.Peer): Map<Message.Id, Asked> {
    const { server } = peer
    const known = server && this.byId.get(server)
    if (known !== undefined) return known
    const asked = new Map<Message.Id, Asked>()
    if (server === undefined) return asked
    this.byId.set(server, asked)
    this.server = server
    this.#known ??= server
    this.#level = undefined
    peer.listen({ onNotification: (notification, about) => this.#told(notification, about, asked) })
    return asked
  }

  /** The backend is in this state. */
  changed(state: State): Effect.Effect<void> {
    const generation = generationOf(state)
    const isKnown = generation === undefined || isOneSession(this.#state, state)
    this.#state = state
    return isKnown ? Effect.void : this.#sessionOpened(generation)
  }

  /** The server has not been told of the level that hosts have set, and hosts not of what may have changed. */
  #sessionOpened(generation: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      yield* this.met
      const { server } = this
      if (server === undefined) return
      // Before hosts ask; but one that does not answer holds nobody back. Calls end with the backend.
      const telling = Effect.runForkWith(this.context)(this.tellLevel)
      yield* Effect.timeoutOption(Fiber.join(telling), "1 second")
      // before the first they have listed nothing; where another process of a cluster has taken it over, generations are counted anew
      if (generation > 1 || this.#known !== server) for (const host of this.hosts) host.afterSession(server)
      this.#known = server
    })
  }

  // ---------------------------------------------------------------------------------------------- from the server

  #told(message: Message.Notification, { relatedRequestId }: Requests.About, asked: Map<Message.Id, Asked>): void {
    const related = relatedRequestId === undefined ? undefined : asked.get(relatedRequestId)
    if (message.method === "notifications/progress") return this.#progressed(message)
    if (message.method === "notifications/message") {
      const anySet = SharedHost.levelOf(this.hosts) !== undefined
      // one that belongs to a request of another process's, or of nobody's any more, is for none of the hosts
      const hosts = relatedRequestId === undefined ? this.hosts : related === undefined ? [] : [related.host]
      for (const host of hosts) {
        if (SharedHost.getsLog(host, message, anySet)) host.tell(message, related)
      }
    } else if (message.method === "notifications/resources/updated") {
      for (const host of this.hosts) if (SharedHost.getsUpdate(host, message.params?.["uri"])) host.tell(message)
    } else if (Message.listChanged(message) !== undefined) for (const host of this.hosts) host.tell(message)
    // what is about one host's doing is no other's matter
    else related?.host.tell(message, related)
  }

  #progressed(message: Message.Notification): void {
    const asked = this.byToken.get(String(Message.progressOf(message)))
    if (asked?.token === undefined) return
    asked.host.tell({ ...message, params: { ...message.params, progressToken: asked.token } }, asked)
  }

  // ------------------------------------------------------------------------------------------------ to the server

  get connected(): Effect.Effect<void, BackendError.CallRejected> {
    return Effect.andThen(this.backend.awaitConnected, this.met)
  }

  /** What a host is told of the server that it initializes with. */
  get initialized(): Effect.Effect<Peer.Server, RpcError> {
    const { backend } = this
    const unreachable = Effect.flatMap(Effect.zip(backend.state, Clock.currentTimeMillis), ([state, now]) =>
      Effect.fail(ErrorAnswer.ofState(backend.id, state, now))
    )
    return this.connected.pipe(
      Effect.mapError(ErrorAnswer.ofCall),
      Effect.timeoutOrElse({ duration: this.#initializeTimeout, orElse: () => unreachable }),
      Effect.flatMap(() => (this.server === undefined ? unreachable : Effect.succeed(this.server)))
    )
  }

  /** Asks the server for a host: progress of it, and what else is related to it, goes there. */
  ask(
    { method, params }: Requests.Question,
    idempotent: boolean,
    about?: { readonly host: HostPart; readonly id: Message.Id }
  ): Effect.Effect<Message.Result, RpcError> {
    return Effect.suspend(() => {
      const own = params?._meta?.["progressToken"]
      const token = Message.isId(own) ? own : undefined
      const asked: Asked | undefined = about && { ...about, token }
      const shown = asked === undefined || token === undefined ? undefined : `shared-${this.#nextToken++}`
      if (shown !== undefined && asked !== undefined) this.byToken.set(shown, asked)
      const question = {
        method,
        ...(shown === undefined
          ? { params }
          : { params: { ...params, _meta: { ...params?._meta, progressToken: shown } } })
      }
      return this.backend
        .use(
          (peer, signal) => {
            const onPeer = this.meet(peer)
            let onWire: number | undefined
            const onId = (id: number) => {
              onWire = id
              if (asked !== undefined) onPeer.set(id, asked)
            }
            const onAnswer = () => about?.host.expect(about.id)
            const answer = peer.request(
              question.params === undefined ? { method } : { method, params: question.params },
              {
                signal,
                onId,
                onAnswer
              }
            )
            const forget = () => void (onWire !== undefined && onPeer.delete(onWire))
            answer.then(forget, forget)
            return answer
          },
          { idempotent }
        )
        .pipe(
          Effect.mapError(ErrorAnswer.ofCall),
          Effect.ensuring(Effect.sync(() => shown !== undefined && this.byToken.delete(shown)))
        )
    })
  }

  /** Tells the server the most verbose of the levels, where it was told another one. */
  get tellLevel(): Effect.Effect<Message.Result, never> {
    return Effect.suspend(() => {
      const level = SharedHost.levelOf(this.hosts)
      if (level === undefined || level === this.#level || this.server?.capabilities["logging"] === undefined) {
        return Effect.succeed({})
      }
      this.#level = level
      return Effect.orElseSucceed(this.ask({ method: "logging/setLevel", params: { level } }, true), () => ({}))
    })
  }

  isSubscribed(uri: string): boolean {
    for (const { subscriptions } of this.hosts) if (subscriptions.has(uri)) return true
    return false
  }

  /** Whether a host has it, or is about to: the server must not be told that nobody does, behind what asks for it. */
  isWanted(uri: string): boolean {
    for (const { subscribing } of this.hosts) if (subscribing.has(uri)) return true
    return this.isSubscribed(uri)
  }

  #left(host: HostPart): Effect.Effect<void> {
    return Effect.sync(() => {
      host.end()
      this.hosts.delete(host)
      const unsubscribed = [...host.subscriptions].filter((uri) => !this.isWanted(uri))
      const givenBack = Effect.forEach(
        unsubscribed,
        (uri) => Effect.ignore(this.ask({ method: "resources/unsubscribe", params: { uri } }, true)),
        { discard: true }
      )
      // nobody waits for it; calls end with the backend
      Effect.runForkWith(this.context)(Effect.andThen(givenBack, this.tellLevel))
    })
  }
}

/** One host's part in it. */
class HostPart implements Part, SharedHost.Settings {
  readonly take: KeptPeer["take"]
  readonly subscriptions = new Set<string>()
  /** what the server is being asked for */
  readonly subscribing = new Set<string>()
  level: string | undefined
  readonly #shared: Shared
  readonly #host: HostEnd

  constructor(shared: Shared, deliver: Deliver, isOpen: boolean) {
    this.#shared = shared
    this.#host = new HostEnd({
      deliver,
      context: shared.context,
      isOpen,
      far: {
        initialize: () => Effect.map(shared.initialized, Handshake.shown),
        ask: (request, idempotent) => this.#asked(request, idempotent),
        // a server that knows of no capabilities asks nothing, and has nothing to be told
        answered: () => {},
        progress: () => {},
        notify: () => {}
      }
    })
    this.take = this.#host.take
  }

  get server(): Peer.Server | undefined {
    return this.#shared.server
  }

  get connected(): Effect.Effect<void, BackendError.CallRejected> {
    return this.#shared.connected
  }

  expect(id: Message.Id): void {
    this.#host.expect(id)
  }

  tell(message: Message.Notification, asked?: Asked): void {
    this.#host.tell(message, asked === undefined || asked.host !== this ? {} : { relatedRequestId: asked.id })
  }

  afterSession(server: Peer.Server): void {
    if (this.#host.phase !== "open") return
    for (const notification of Handshake.afterSession(server, this.subscriptions)) this.#host.tell(notification, {})
  }

  #asked(request: Message.Request, idempotent: boolean): Effect.Effect<Message.Result, RpcError> {
    const { id, method, params } = request
    const uri = params?.["uri"]
    if (method === "logging/setLevel") return this.#setLevel(params?.["level"])
    const asked = this.#shared.ask(request, idempotent, { host: this, id })
    if (method === "resources/subscribe" && typeof uri === "string") {
      return Effect.suspend(() => {
        const isSubscribed = this.#shared.isSubscribed(uri)
        this.subscribing.add(uri)
        return (isSubscribed ? Effect.succeed({}) : asked).pipe(
          Effect.tap(() => Effect.sync(() => this.subscriptions.add(uri))),
          Effect.ensuring(Effect.sync(() => this.subscribing.delete(uri)))
        )
      })
    }
    if (method === "resources/unsubscribe" && typeof uri === "string") {
      return Effect.suspend(() => {
        this.subscriptions.delete(uri)
        return this.#shared.isWanted(uri) ? Effect.succeed({}) : asked
      })
    }
    return asked
  }

  #setLevel(level: unknown): Effect.Effect<Message.Result, RpcError> {
    return Effect.suspend(() => {
      if (!SharedHost.isLevel(level)) return Effect.fail(invalidLevel)
      this.level = level
      return this.#shared.tellLevel
    })
  }

  end(): void {
    this.#host.end()
  }
}

/** JSON-RPC 2.0, section 5.1. */
const invalidLevel: RpcError = { code: -32602, message: "logging/setLevel needs a level of MCP's" }
