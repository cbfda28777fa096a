/**
 * One host: what it asks goes to the backend whose it is, and what servers say goes to it.
 *
 * What is asked often takes no detour: a look-up, and the message goes on.
 */
import type { KeptPeer } from "@vmcp-keepalive/host"
import { Held, HostMessage, ServerRequests } from "@vmcp-keepalive/host/gateway"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { isNamed, type Kind, ofMethod } from "../catalogue/kinds.ts"
import type { Backends } from "../lanes/backends.ts"
import type { Host as OfLanes, Lane, Outcome } from "../lanes/lane.ts"
import * as Answers from "./answers.ts"
import * as Changes from "./changes.ts"
import * as Handshake from "./handshake.ts"
import { Listing } from "./listing.ts"
import { linksOf, route, type Routes, type Target, taskOf } from "./routing.ts"
import { Recent } from "./recent.ts"

type RpcError = Message.ErrorAnswer["error"]

/** What it is made of. */
export interface Options {
  readonly backends: Backends
  readonly deliver: KeptPeer.Deliver
  readonly initializeWait: Duration.Duration
  readonly listWait: Duration.Duration
  readonly context: Context.Context<never>
  /** Opens the lanes of the host, which has said these words, and keeps them what the fleet is from now on. */
  readonly join: (host: Host, words: Message.Params) => Effect.Effect<void>
}

/** Requests that one host may have under way. */
const mostRequests = 1000
/** Resources that one host may have subscribed to. */
const mostSubscriptions = 1000
/** Tasks, and links to resources, of which is remembered whose they are. */
const mostRemembered = 1000

/** A request of the host's that waits for its answer. */
interface UnderWay {
  readonly cancel: () => void
  /** ends the reading of the host's signal */
  readonly settled: (() => void) | undefined
}

const nothing: KeptPeer.About = {}

/** See the module. */
export class Host implements OfLanes {
  /** by the id of the backend */
  readonly lanes = new Map<string, Lane>()
  readonly #options: Options
  readonly #held = new Held.Held()
  readonly #serverRequests = new ServerRequests.ServerRequests<Lane>()
  readonly #underWay = new Map<Message.Id, UnderWay>()
  readonly #changes: Changes.Changes
  readonly #listing: Listing
  readonly #routes: Routes
  /** to which resources it has subscribed, and where */
  readonly #subscriptions = new Map<string, string>()
  #phase: HostMessage.Phase = "new"
  #level: Message.Params | undefined
  /** lanes whose servers were there when the host initialized */
  readonly #met = new WeakSet<Lane>()
  /** which level a lane was told of last */
  readonly #told = new WeakMap<Lane, Message.Params>()

  constructor(options: Options) {
    this.#options = options
    const { backends } = options
    this.#changes = new Changes.Changes((notification) => this.#toHost(notification, nothing))
    this.#listing = new Listing(backends, this.lanes, options.listWait)
    this.#routes = {
      backends,
      lanes: this.lanes,
      subscriptions: this.#subscriptions,
      links: new Recent(mostRemembered),
      tasks: new Recent(mostRemembered)
    }
  }

  /** Whether its connection is over. */
  get isOver(): boolean {
    return this.#phase === "closed"
  }

  // ---------------------------------------------------------------------------------------------------- from the host

  readonly take: KeptPeer.KeptPeer["take"] = (value, { signal } = {}) => {
    const meaning = HostMessage.read(value, this.#phase, (id) => this.#underWay.has(id))
    switch (meaning._tag) {
      case "Nothing":
        return
      case "Answered":
        return this.#answerLater(meaning.answer)
      case "Initialize":
        return this.#run(meaning.id, this.#initialized(meaning.params), signal)
      case "Request":
        // also a host that has not said so
        this.#ready()
        return this.#asked(meaning.request, signal)
      case "Cancelled":
        return this.#cancel(meaning.id)
      case "Initialized":
        return this.#ready()
      case "Answer": {
        const answered = this.#serverRequests.answered(meaning.answer)
        return answered?.peer.take(answered.message)
      }
      case "Progress": {
        const progress = this.#serverRequests.progress(meaning.token, meaning.notification)
        return progress?.peer.take(progress.message)
      }
      case "Notification":
        for (const lane of this.lanes.values()) if (lane.mode === "per-client") lane.take(meaning.notification)
        return
    }
  }

  #initialized(params: Message.Params): Effect.Effect<Message.Result, RpcError> {
    const { backends, initializeWait, join } = this.#options
    const words = Handshake.agreed(params)
    this.#phase = "initializing"
    return Effect.gen({ self: this }, function* () {
      yield* join(this, words)
      yield* Effect.timeoutOption(this.#listing.connected, initializeWait)
      this.#phase = "open"
      for (const lane of this.lanes.values()) if (lane.server !== undefined) this.#met.add(lane)
      const instructions = [...backends.members.keys()].flatMap((id) => {
        const said = this.lanes.get(id)?.server?.["instructions"]
        return typeof said === "string" ? [[id, said] as const] : []
      })
      return Handshake.answer(words.protocolVersion, instructions)
    }).pipe(
      Effect.onError(() =>
        Effect.sync(() => {
          if (this.#phase === "initializing") this.#phase = "new"
        })
      )
    )
  }

  #asked(request: Message.Request, signal: AbortSignal | undefined): void {
    const { id, method, params } = request
    const kind = ofMethod.get(method)
    if (kind !== undefined) return this.#run(id, this.#listing.answer(kind, params), signal)
    if (method === "logging/setLevel") return this.#run(id, this.#setLevel(params), signal)
    const target = route(request, this.#routes)
    if (target._tag === "Lane") return this.#forward(request, target, signal)
    if (target.kinds.length === 0 || !this.#listing.isOutdated(target.kinds)) {
      return this.#answerLater({ jsonrpc: "2.0", id, error: target.error })
    }
    // not known: what it names may be listed since, or for this host alone
    this.#run(
      id,
      Effect.flatMap(this.#found(request, target.kinds), (found) => this.#forwarded(request, found)),
      signal
    )
  }

  /** Where it goes by the lists as they are now. */
  #found(request: Message.Request, kinds: ReadonlyArray<Kind>): Effect.Effect<Target, RpcError> {
    const found = Effect.suspend(() => {
      const target = route(request, this.#routes)
      return target._tag === "Lane" ? Effect.succeed(target) : Effect.fail(target.error)
    })
    // A name has one owner at most, and is not held up by the lists of others; of those who list one URI the first has it.
    const soon = kinds.every((kind) => isNamed.has(kind)) ? Effect.flip(found) : Effect.void
    const listed = Effect.forEach(kinds, (kind) => this.#listing.refresh(kind, soon), { discard: true })
    return Effect.matchEffect(listed, { onFailure: Effect.succeed, onSuccess: () => found })
  }

  /** Sends it on, and its answer back. */
  #forward(request: Message.Request, { lane, params }: Target, signal: AbortSignal | undefined): void {
    const { id, method } = request
    if (signal?.aborted === true) return
    const refusal = this.#refusal(request, lane)
    if (refusal !== undefined) return this.#answerLater({ jsonrpc: "2.0", id, ...refusal })
    const cancel = () => this.#cancel(id)
    signal?.addEventListener("abort", cancel, { once: true })
    const settled = signal && (() => signal.removeEventListener("abort", cancel))
    const ended = lane.ask(
      method,
      params,
      (outcome) => {
        this.#underWay.delete(id)
        settled?.()
        this.#answer({ ...this.#outcome(request, lane, outcome), jsonrpc: "2.0", id })
      },
      id
    )
    this.#underWay.set(id, { cancel: ended, settled })
  }

  /** The same as an effect. */
  #forwarded(request: Message.Request, { lane, params }: Target): Effect.Effect<Message.Result, RpcError> {
    return Effect.callback((resume) => {
      const refusal = this.#refusal(request, lane)
      const settle = (outcome: Outcome) =>
        resume("result" in outcome ? Effect.succeed(outcome.result) : Effect.fail(outcome.error))
      if (refusal !== undefined) return settle(refusal)
      const answered = (outcome: Outcome) => settle(this.#outcome(request, lane, outcome))
      return Effect.sync(lane.ask(request.method, params, answered, request.id))
    })
  }

  /** What is answered in place of the server, where the host has asked too much. */
  #refusal({ method, params }: Message.Request, { id }: Lane): Outcome | undefined {
    if (this.#underWay.size >= mostRequests) {
      const error = { error: Answers.tooMany("requests under way", id) }
      return method === "tools/call" ? Answers.ofTool(error) : error
    }
    const uri = params?.["uri"]
    const isSubscription = method === "resources/subscribe" && typeof uri === "string"
    return isSubscription && this.#subscriptions.size >= mostSubscriptions && !this.#subscriptions.has(uri)
      ? { error: Answers.tooMany("subscriptions", id) }
      : undefined
  }

  /** What the host is told of what a lane has answered, and what is remembered of it. */
  #outcome({ method, params }: Message.Request, lane: Lane, outcome: Outcome): Outcome {
    if (!("result" in outcome)) return method === "tools/call" ? Answers.ofTool(outcome) : outcome
    const uri = params?.["uri"]
    if (method === "tools/call") {
      for (const link of linksOf(outcome.result)) this.#routes.links.set(link, lane.id)
      const task = taskOf(outcome.result)
      if (task !== undefined) this.#routes.tasks.set(task, lane.id)
    } else if (typeof uri !== "string") return outcome
    else if (method === "resources/subscribe") this.#subscriptions.set(uri, lane.id)
    else if (method === "resources/unsubscribe") this.#subscriptions.delete(uri)
    return outcome
  }

  #setLevel(params: Message.Params | undefined): Effect.Effect<Message.Result, RpcError> {
    return Effect.suspend(() => {
      if (typeof params?.["level"] !== "string")
        return Effect.fail(Answers.invalidParams("logging/setLevel needs a level"))
      this.#level = params
      const told = Effect.forEach(this.lanes.values(), (lane) => Effect.ignore(this.#levelTo(lane)), {
        concurrency: "unbounded",
        discard: true
      })
      return Effect.as(Effect.timeoutOption(told, this.#options.listWait), {})
    })
  }

  /** Later sessions of the lane are told by itself. */
  #levelTo(lane: Lane): Effect.Effect<unknown, RpcError> {
    const params = this.#level
    return Effect.suspend(() => {
      if (params === undefined || this.#told.get(lane) === params) return Effect.void
      // what hosts have set of a shared session is kept where it is shared
      if (lane.mode === "per-client" && lane.server?.capabilities["logging"] === undefined) return Effect.void
      this.#told.set(lane, params)
      return lane.request("logging/setLevel", params)
    })
  }

  // ------------------------------------------------------------------------------------------------------- from lanes

  told(lane: Lane, message: Message.Request | Message.Notification, about: KeptPeer.About): void {
    if (this.isOver) return
    if ("id" in message) return this.#toHost(this.#serverRequests.received(lane, message), about)
    const changed = Message.listChanged(message)
    if (changed !== undefined) return this.#listsChanged([changed])
    const cancelled = Message.cancelled(message)
    if (cancelled !== undefined) {
      const notification = this.#serverRequests.cancelled(lane, cancelled, message)
      return notification && this.#toHost(notification, nothing)
    }
    this.#toHost(message.method === "notifications/message" ? named(lane.id, message) : message, about)
  }

  /** A lane was opened. */
  opened(lane: Lane): void {
    this.lanes.set(lane.id, lane)
    if (lane.mode === "shared") Effect.runForkWith(this.#options.context)(Effect.ignore(this.#levelTo(lane)))
  }

  /** The first session of a lane is open. */
  connected(lane: Lane): void {
    if (this.isOver || this.lanes.get(lane.id) !== lane) return
    if (this.#level !== undefined) Effect.runForkWith(this.#options.context)(Effect.ignore(this.#levelTo(lane)))
    if (this.#met.has(lane)) return
    this.#listsChanged(Changes.all.filter((list) => lane.server?.capabilities[list] !== undefined))
  }

  /** The fleet, or how it is shown, is another one. */
  fleetChanged(): void {
    this.#listsChanged(Changes.all)
  }

  /** The lane is none of the host's any more. */
  left(lane: Lane): void {
    if (this.lanes.get(lane.id) === lane) this.lanes.delete(lane.id)
    for (const notification of this.#serverRequests.ended(lane)) this.#toHost(notification, nothing)
    for (const [uri, backend] of this.#subscriptions) if (backend === lane.id) this.#subscriptions.delete(uri)
    lane.ended()
  }

  #listsChanged(lists: ReadonlyArray<Changes.List>): void {
    this.#listing.changed()
    // before it has initialized, it has listed nothing
    if (this.#phase === "open") this.#changes.add(lists)
  }

  #toHost(message: Message.Request | Message.Notification, about: KeptPeer.About): void {
    if (!this.isOver && !this.#held.hold(message, about)) this.#options.deliver(message, about)
  }

  #ready(): void {
    for (const [message, about] of this.#held.release()) this.#options.deliver(message, about)
  }

  // -------------------------------------------------------------------------------------------------------- answers

  /** Runs what answers a request of the host's, which may be cancelled meanwhile. */
  #run(id: Message.Id, answer: Effect.Effect<Message.Result, RpcError>, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) return
    if (this.#underWay.size >= mostRequests) {
      return this.#answerLater({ jsonrpc: "2.0", id, error: Answers.tooMany("requests under way", "") })
    }
    const fiber = Effect.runForkWith(this.#options.context)(answer)
    const cancel = () => this.#cancel(id)
    signal?.addEventListener("abort", cancel, { once: true })
    const settled = signal && (() => signal.removeEventListener("abort", cancel))
    const underWay: UnderWay = { cancel: () => fiber.interruptUnsafe(), settled }
    this.#underWay.set(id, underWay)
    let isTaken = false
    fiber.addObserver((exit) => {
      if (this.#underWay.get(id) !== underWay) return
      this.#underWay.delete(id)
      settled?.()
      const answer: Message.Answer = Exit.isSuccess(exit)
        ? { jsonrpc: "2.0", id, result: exit.value }
        : { jsonrpc: "2.0", id, error: errorOf(exit.cause) }
      if (isTaken) this.#answer(answer)
      else this.#answerLater(answer)
    })
    isTaken = true
  }

  /** The host waits no longer: the request ends, and gets no answer. */
  #cancel(id: Message.Id): void {
    const underWay = this.#underWay.get(id)
    if (underWay === undefined) return
    this.#underWay.delete(id)
    underWay.settled?.()
    underWay.cancel()
  }

  #answer(answer: Message.Answer): void {
    if (!this.isOver) this.#options.deliver(answer, nothing)
  }

  /** To a request that the host is about to learn that it was sent: not before the next macrotask. */
  #answerLater(answer: Message.Answer): void {
    setImmediate(() => this.#answer(answer))
  }

  // ------------------------------------------------------------------------------------------------------------ end

  /** The host is gone: nothing more is delivered, and what it has asked is cancelled. */
  end(): void {
    this.#phase = "closed"
    this.#changes.end()
    for (const id of [...this.#underWay.keys()]) this.#cancel(id)
  }
}

/** A log message of a server's, as one of that backend. */
const named = (backend: string, notification: Message.Notification): Message.Notification => {
  const { logger } = notification.params ?? {}
  return {
    ...notification,
    params: { ...notification.params, logger: typeof logger === "string" ? `${backend}/${logger}` : backend }
  }
}

/** JSON-RPC's code for what went wrong in here. */
const internalError = -32603

const errorOf = (cause: Cause.Cause<RpcError>): RpcError =>
  Option.getOrElse(Cause.findErrorOption(cause), () => ({ code: internalError, message: "Internal error" }))
