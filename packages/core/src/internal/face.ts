/**
 * A backend as its users hold it: the face of its supervisor, and what it was made of.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Pipeable from "effect/Pipeable"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Backend, ListenOptions, Options, Reconfiguration, Source } from "../Backend.ts"
import {
  type CallRejected,
  ConfigurationError,
  type ConfigurationIssue,
  type SessionUnavailable
} from "../BackendError.ts"
import * as CallLimit from "../CallLimit.ts"
import type { Filter } from "../Changes.ts"
import { type ConnectionState, Json } from "../ConnectionState.ts"
import type { Connector } from "../Connector.ts"
import type { Command } from "../engine/Signal.ts"
import * as KeepaliveEvent from "../KeepaliveEvent.ts"
import * as KeepalivePolicy from "../KeepalivePolicy.ts"
import type { Lists } from "../Lists.ts"
import * as Audience from "./audience.ts"
import * as Call from "./call.ts"
import type * as Listening from "./listening.ts"
import * as Made from "./made.ts"
import * as Pin from "./pin.ts"
import { poolOf } from "./pool.ts"
import { generationOf } from "./steps.ts"
import * as Supervisor from "./supervisor.ts"
import { providing } from "./transports.ts"
import * as Waiting from "./waiting.ts"

/** What every backend has and nothing else does. */
export const TypeId = "~@vmcp-keepalive/core/Backend"

/** A backend, and how it ends. */
export type Face<Client> = Supervised<Client>

/**
 * Makes a backend that lives until it is ended, which is its maker's matter: not to be interrupted, but for the looking for what is wrong,
 * which `restore` allows.
 */
export const make = <Client, R, SetupR>(
  options: Options<Client, R, SetupR>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.Effect<Face<Client>, ConfigurationError, R | SetupR> =>
  Effect.contextWith((context: Context.Context<R | SetupR>) => {
    const { connector, id, setup } = options
    const inherited = Context.get(context, KeepalivePolicy.Current)
    const audience = Context.get(context, Audience.Current)
    const pool = poolOf(Context.get(context, CallLimit.Current))
    return Effect.flatMap(restore(settled(options, inherited)), (policy) =>
      Effect.map(KeepaliveEvent.observers, (observers) => {
        const supervisor = Supervisor.make({ id, connector, policy, setup, observers, audience, pool }, context)
        // after its first event, so that whoever compares what they observed with this count never lacks one that is being made
        Made.count()
        return new Supervised(supervisor, { connector, inherited, own: options.policy })
      })
    )
  })

/** A finalizer that holds nothing but the backend. */
export const ending =
  <Client>(face: Face<Client>) =>
  (): Effect.Effect<void> =>
    endOf(face)

/** Ends a backend, and waits until it has ended. */
export const endOf = <Client>(face: Face<Client>): Effect.Effect<void> => face[End]

const End = Symbol("end")

/** What can be wrong in what a backend is made of. */
interface Settings<R> extends Pick<Options<unknown>, "id" | "policy"> {
  readonly connector: Pick<Connector<unknown, R>, "issues" | "connectTimeout" | "supportsOptions">
}

/** What of a connector matters for a policy. */
type Kind = Pick<Connector<unknown>, "connectTimeout" | "supportsOptions">

/** The policy that is in force, where nothing is wrong. */
export const settled = <R>(
  { connector, id, policy: own }: Settings<R>,
  inherited: KeepalivePolicy.Options
): Effect.Effect<KeepalivePolicy.KeepalivePolicy, ConfigurationError, R> =>
  Effect.flatMap(connector.issues, (unfit) => resolved({ connector, id, policy: own }, inherited, unfit))

/** As {@link settled}, where it is known what is wrong with the connector. */
const resolved = (
  { connector, id, policy: own }: Pick<Options<unknown>, "id" | "policy"> & { readonly connector: Kind },
  inherited: KeepalivePolicy.Options,
  unfit: ReadonlyArray<ConfigurationIssue>
): Effect.Effect<KeepalivePolicy.KeepalivePolicy, ConfigurationError> => {
  const laid = own === undefined ? inherited : KeepalivePolicy.overlay(inherited, own)
  const { issues, policy } = KeepalivePolicy.resolve(laid, connector)
  const unnamed = id === "" ? [{ path: ["id"], expected: "a name that is not empty" }] : []
  const wrong: ReadonlyArray<ConfigurationIssue> = [...unnamed, ...unfit, ...issues]
  return wrong.length > 0 ? Effect.fail(new ConfigurationError({ backend: id, issues: wrong })) : Effect.succeed(policy)
}

/** A backend is its supervisor with a face: what it can be asked is made when it is asked. */
class Supervised<Client> extends Pipeable.Class implements Backend<Client> {
  readonly [TypeId] = TypeId
  readonly #supervisor: Supervisor.Supervisor<Client>
  readonly #inherited: KeepalivePolicy.Options
  #own: KeepalivePolicy.Options | undefined
  #connector: Connector<Client, unknown>

  constructor(supervisor: Supervisor.Supervisor<Client>, { connector, inherited, own }: MadeOf<Client>) {
    super()
    this.#supervisor = supervisor
    this.#connector = connector
    this.#inherited = inherited
    this.#own = own
  }

  // Made when they are asked for, so that they may be taken from it, and cost nothing to hold.

  get use(): Backend<Client>["use"] {
    const supervisor = this.#supervisor
    return (callback, options) => Call.use(supervisor, callback, options)
  }

  get pinned(): Backend<Client>["pinned"] {
    const supervisor = this.#supervisor
    return (body) => Pin.pinned(supervisor, body)
  }

  get id(): string {
    return this.#supervisor.id
  }

  get [End](): Effect.Effect<void> {
    return this.#supervisor.end
  }

  get state(): Effect.Effect<ConnectionState> {
    return Effect.sync(() => this.#supervisor.state)
  }

  get policy(): Effect.Effect<KeepalivePolicy.KeepalivePolicy> {
    return Effect.sync(() => this.#supervisor.policy)
  }

  get source(): Effect.Effect<Source<Client>> {
    return Effect.sync(() => ({
      connector: this.#supervisor.source,
      policy: this.#own === undefined ? this.#inherited : KeepalivePolicy.overlay(this.#inherited, this.#own)
    }))
  }

  get lists(): Effect.Effect<Lists> {
    return Effect.sync(() => this.#supervisor.lists)
  }

  get changes(): Stream.Stream<ConnectionState> {
    return this.#reading(
      () => [this.#supervisor.state],
      (event) => (event._tag === "StateChanged" ? event.to : undefined)
    )
  }

  get events(): Stream.Stream<KeepaliveEvent.KeepaliveEvent> {
    return this.#reading(
      () => [],
      (event) => event
    )
  }

  listen(filter: Filter, { initially = false }: ListenOptions = {}): ReturnType<Backend<Client>["listen"]> {
    const supervisor = this.#supervisor
    return Stream.suspend(() => {
      let heard: Listening.Heard | undefined
      return Stream.callback<void>(
        (queue) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const reader = { told: () => void Queue.offerUnsafe(queue, undefined), end: () => Queue.endUnsafe(queue) }
              heard = supervisor.listen({ filter, initially, reader })
              if (supervisor.tag === "Closed") reader.end()
              return heard
            }),
            ({ end }) => end
          ),
        // one is enough: what it is about is taken when it comes
        { bufferSize: 1, strategy: "sliding" }
      ).pipe(
        Stream.map(() => heard?.take() ?? []),
        Stream.flattenIterable
      )
    })
  }

  get probe(): Effect.Effect<ConnectionState, SessionUnavailable> {
    return Effect.suspend(() =>
      generationOf(this.#supervisor.state) === undefined
        ? Effect.fail(Waiting.unavailable(this.#supervisor))
        : this.#command("probe")
    )
  }

  get reconnect(): Effect.Effect<ConnectionState, CallRejected> {
    return Effect.suspend(() =>
      this.#isShut ? Effect.fail(Waiting.rejected(this.#supervisor)) : this.#command("reconnect")
    )
  }

  get isolate(): Effect.Effect<void> {
    return Effect.sync(() => this.#supervisor.send({ _tag: "Operator", command: "isolate" }))
  }

  get reset(): Effect.Effect<void> {
    return Effect.sync(() => this.#supervisor.send({ _tag: "Operator", command: "reset" }))
  }

  reconfigure<R = never>({
    connector,
    policy: wanted
  }: Reconfiguration<Client, R>): Effect.Effect<void, ConfigurationError, R> {
    return Effect.contextWith((context: Context.Context<R>) => {
      const other = connector === undefined || connector === this.#connector ? undefined : providing(context)(connector)
      // one that has passed is not asked again
      const { connectTimeout, supportsOptions } = this.#connector
      const asked = other ?? { connectTimeout, supportsOptions, issues: noIssues }
      return Effect.flatMap(asked.issues, (unfit) => {
        // another policy may have come while the connector was asked
        const own = wanted ?? this.#own
        return Effect.map(
          resolved({ id: this.id, connector: asked, policy: own }, this.#inherited, unfit),
          (policy) => {
            this.#own = own
            if (connector !== undefined) this.#connector = connector
            this.#supervisor.reconfigure({ connector: other, policy })
          }
        )
      })
    })
  }

  get awaitConnected(): Effect.Effect<void, CallRejected> {
    const supervisor = this.#supervisor
    return Effect.callback((resume) => {
      const look = () => {
        if (this.#isShut) resume(Effect.fail(Waiting.rejected(supervisor)))
        else if (supervisor.current) resume(Effect.void)
        else return false
        return true
      }
      supervisor.send({ _tag: "CallStarted" })
      if (look()) return
      supervisor.waiters.add(look)
      return Effect.sync(() => supervisor.waiters.delete(look))
    })
  }

  /** the state as `ConnectionState.Json` has it */
  toJSON(): unknown {
    return { _id: "Backend", id: this.id, state: encodeState(this.#supervisor.state) }
  }

  override toString(): string {
    return `Backend(${this.id}, ${this.#supervisor.state._tag})`
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return { _id: "Backend", id: this.id, state: this.#supervisor.state }
  }

  get #isShut(): boolean {
    const { tag } = this.#supervisor
    return tag === "Isolated" || tag === "Closed"
  }

  /** Gives the command and waits until what it started has ended. */
  #command(command: Command): Effect.Effect<ConnectionState> {
    const supervisor = this.#supervisor
    return Effect.callback((resume) => {
      const done = () => resume(Effect.sync(() => supervisor.state))
      supervisor.resting.add(done)
      supervisor.send({ _tag: "Operator", command })
      return Effect.sync(() => supervisor.resting.delete(done))
    })
  }

  #reading<A>(
    first: () => ReadonlyArray<A>,
    select: (event: KeepaliveEvent.KeepaliveEvent) => A | undefined
  ): Stream.Stream<A> {
    const { announcer } = this.#supervisor
    return Stream.callback(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const listener = {
              observe: (event: KeepaliveEvent.KeepaliveEvent) => {
                const selected = select(event)
                if (selected !== undefined) Queue.offerUnsafe(queue, selected)
              },
              end: () => Queue.endUnsafe(queue)
            }
            for (const item of first()) Queue.offerUnsafe(queue, item)
            announcer.add(listener)
            if (this.#supervisor.state._tag === "Closed") listener.end()
            return listener
          }),
          (listener) => Effect.sync(() => announcer.delete(listener))
        ),
      { bufferSize: readerBuffer, strategy: "sliding" }
    )
  }
}

/** What a backend was made of, and may be made of anew. */
interface MadeOf<Client> {
  readonly connector: Connector<Client, unknown>
  /** the policy of the context in which it was made */
  readonly inherited: KeepalivePolicy.Options
  /** its own, which is laid over that */
  readonly own: KeepalivePolicy.Options | undefined
}

const noIssues = Effect.succeed<ReadonlyArray<ConfigurationIssue>>([])

const encodeState = Schema.encodeSync(Json)

/** How many events a reader may be behind. */
const readerBuffer = 4096
