/**
 * The members of a fleet: each a backend that ends by itself, with its removal or with the fleet. Changes come one at a time.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Backend from "../Backend.ts"
import { ConfigurationError } from "../BackendError.ts"
import type { ConnectionState } from "../ConnectionState.ts"
import type { Change, Fleet, Spec, Transport } from "../Fleet.ts"
import type { KeepaliveEvent } from "../KeepaliveEvent.ts"
import * as Audience from "./audience.ts"
import { FleetConfigurationError, type FleetNotReady } from "./fleetErrors.ts"
import * as Face from "./face.ts"
import * as Plan from "./plan.ts"
import * as Readiness from "./readiness.ts"
import * as Transports from "./transports.ts"

/** See `Fleet.make`. */
export const make = <Client>(): Effect.Effect<Fleet<Client>, never, Scope.Scope | Transport<Client>> =>
  Effect.contextWith((context: Context.Context<Scope.Scope | Transport<Client>>) => {
    const members = new Members<Client>(context)
    return Effect.as(Scope.addFinalizer(Context.get(context, Scope.Scope), members.end()), members)
  })

/** A backend of the fleet. */
interface Member<Client> extends Plan.Member {
  readonly backend: Face.Face<Client>
  /** in monotonic milliseconds */
  readonly madeAt: number
}

class Members<Client> implements Fleet<Client> {
  readonly #members = new Map<string, Member<Client>>()
  readonly #transports: ReadonlyMap<string, Transports.Transport<Client>>
  readonly #clock: Clock.Clock
  /** what members have in common, wherever they are added */
  readonly #common: Context.Context<never>
  readonly #contexts = new WeakMap<ReadonlyMap<string, unknown>, Context.Context<never>>()
  readonly #audience: Audience.Audience = { readers: new Set() }
  readonly #observers = new Set<(change: Change) => void>()
  readonly #readers = new Set<{ readonly end: () => void }>()
  readonly #oneAtATime = Semaphore.makeUnsafe(1)
  #isOver = false

  constructor(context: Context.Context<never>) {
    this.#transports = Transports.of(context)
    this.#clock = Context.get(context, Clock.Clock)
    this.#common = Context.add(ofCore(context), Audience.Current, this.#audience)
  }

  readonly get = (id: string): Effect.Effect<Option.Option<Backend.Backend<Client>>> =>
    Effect.sync(() => Option.map(Option.fromNullishOr(this.#members.get(id)), ({ backend }) => backend))

  get ids(): Effect.Effect<ReadonlyArray<string>> {
    return Effect.sync(() => [...this.#members.keys()])
  }

  get states(): Effect.Effect<ReadonlyMap<string, ConnectionState>> {
    return Effect.suspend(() => {
      const states = [...this.#members].map(([id, { backend }]) =>
        Effect.map(backend.state, (state) => [id, state] as const)
      )
      return Effect.map(Effect.all(states), (all) => new Map(all))
    })
  }

  get events(): Stream.Stream<KeepaliveEvent> {
    return this.#reading(this.#audience.readers)
  }

  get changes(): Stream.Stream<Change> {
    return this.#reading(this.#observers)
  }

  get ready(): Effect.Effect<void, FleetNotReady> {
    return Effect.suspend(() => Readiness.awaitReady(this.#members.values()))
  }

  add<R = never, SetupR = never>(
    options: Backend.Options<Client, R, SetupR>
  ): Effect.Effect<Backend.Backend<Client>, ConfigurationError, R | SetupR> {
    return this.#changing(
      Effect.gen({ self: this }, function* () {
        const { id } = options
        if (this.#members.has(id)) return yield* wrong(id, ["id"], "an id that no backend of this fleet has")
        return yield* this.#start(options, undefined)
      })
    )
  }

  readonly remove = (id: string): Effect.Effect<boolean> =>
    this.#changing(Effect.map(this.#remove(id), (changes) => changes.length > 0))

  readonly apply = (specs: ReadonlyArray<Spec>): Effect.Effect<ReadonlyArray<Change>, FleetConfigurationError> =>
    this.#changing(
      Effect.gen({ self: this }, function* () {
        const plan = Plan.make(specs, this.#members, this.#transports)
        yield* Plan.checked(plan)
        const [removed, others] = yield* Effect.all(
          [
            Effect.forEach(plan.removed, (id) => this.#remove(id), { concurrency: "unbounded" }),
            Effect.forEach(plan.steps, (step) => this.#perform(step))
          ],
          { concurrency: 2 }
        ).pipe(Effect.mapError((error) => new FleetConfigurationError({ errors: [error] })))
        return [...removed.flat(), ...others]
      }).pipe(Effect.updateContext((context: Context.Context<never>) => this.#within(context)))
    )

  /** Ends every member, side by side. */
  readonly end = (): Effect.Effect<void> =>
    Effect.suspend(() => {
      this.#isOver = true
      const closing = Effect.forEach(this.#members.values(), ({ backend }) => Face.endOf(backend), {
        concurrency: "unbounded",
        discard: true
      })
      const ended = Effect.sync(() => this.#readers.forEach((reader) => reader.end()))
      return this.#changing(Effect.ensuring(closing, ended))
    })

  // -------------------------------------------------------------------------------------------------------- changes

  /** One change at a time, each to its end. */
  #changing<A, E, R>(change: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.andThen(restore(this.#oneAtATime.take(1)), Effect.ensuring(change, this.#oneAtATime.release(1)))
    )
  }

  #start<R, SetupR>(
    options: Backend.Options<Client, R, SetupR>,
    spec: Plan.Words | undefined
  ): Effect.Effect<Backend.Backend<Client>, ConfigurationError, R | SetupR> {
    return Effect.gen({ self: this }, function* () {
      const { id } = options
      if (this.#isOver) return yield* wrong(id, ["fleet"], "a fleet whose scope has not ended")
      const backend = yield* Face.make(options, identity)
      this.#members.set(id, { backend, spec, madeAt: this.#now() })
      this.#tell({ _tag: "Added", id })
      return backend
    }).pipe(Effect.updateContext((context: Context.Context<R | SetupR>) => this.#within(context)))
  }

  /** A context with what members have in common: the same one for the same, since each backend holds its own. */
  #within<Needed>(context: Context.Context<Needed>): Context.Context<Needed> {
    const known = this.#contexts.get(context.mapUnsafe)
    const merged = known ?? Context.makeUnsafe<never>(Context.merge(context, this.#common).mapUnsafe)
    this.#contexts.set(context.mapUnsafe, merged)
    this.#contexts.set(merged.mapUnsafe, merged)
    return merged as Context.Context<Needed>
  }

  #perform({ connector, id, spec, what }: Plan.Step<Client>): Effect.Effect<Change, ConfigurationError> {
    const { policy } = spec
    const member = this.#members.get(id)
    if (member === undefined || what === undefined) {
      return Effect.as(this.#start({ id, connector, policy }, spec), { _tag: "Added", id })
    }
    const changes = what.includes("connection") ? { connector, policy } : { policy }
    return Effect.map(member.backend.reconfigure(changes), () => {
      this.#members.set(id, { ...member, spec })
      return this.#tell({ _tag: "Replaced", id, what })
    })
  }

  /** Nothing, where there is none of that id. */
  #remove(id: string): Effect.Effect<ReadonlyArray<Change>> {
    return Effect.suspend(() => {
      const member = this.#members.get(id)
      if (member === undefined) return Effect.succeed([])
      this.#members.delete(id)
      return Effect.map(Face.endOf(member.backend), () => [this.#tell({ _tag: "Removed", id })])
    })
  }

  #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  // -------------------------------------------------------------------------------------------------------- readers

  #tell(change: Change): Change {
    for (const observe of this.#observers) observe(change)
    return change
  }

  #reading<A>(observers: Set<(item: A) => void>): Stream.Stream<A> {
    return Stream.callback<A>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const reader = {
              observe: (item: A) => void Queue.offerUnsafe(queue, item),
              end: () => void Queue.endUnsafe(queue)
            }
            observers.add(reader.observe)
            this.#readers.add(reader)
            if (this.#isOver) reader.end()
            return reader
          }),
          (reader) =>
            Effect.sync(() => {
              observers.delete(reader.observe)
              this.#readers.delete(reader)
            })
        ),
      { bufferSize: readerBuffer, strategy: "sliding" }
    )
  }
}

/** How many events a reader may be behind: those of many backends that change at once. */
const readerBuffer = 16_384

const wrong = (backend: string, path: ReadonlyArray<string>, expected: string) =>
  new ConfigurationError({ backend, issues: [{ path, expected }] })

/** What belongs to this library: the policy, the observers, the limits. The rest is the caller's own. */
const ofCore = (context: Context.Context<never>): Context.Context<never> => {
  const found = new Map<string, unknown>()
  for (const [key, value] of context.mapUnsafe) if (key.startsWith("@vmcp-keepalive/")) found.set(key, value)
  return Context.makeUnsafe(found)
}
