/** What it takes when processes or their storage go: in milliseconds from the signal, as a caller in another process and the servers see it. */
import { Deferred, Effect, Fiber } from "effect"
import { actedAtOnce, type Session } from "../support/farm.ts"
import type { Storage } from "../support/storage.ts"
import { fewShards, make, type Replica, until } from "../support/world.ts"

export interface Options {
  readonly storage: Storage
  readonly lease: number
  readonly backends?: number
  readonly shards?: number
}

const now = () => Date.now()

/** Two replicas that keep some of the backends each: one that calls, and another one that something happens to. */
const two = ({ backends = 12, shards = fewShards, ...options }: Options) =>
  Effect.gen(function* () {
    const world = yield* make({ ...options, backends, options: { shards } })
    const caller = yield* world.replica
    const owner = yield* world.replica
    const owners = yield* until(
      "both keep some",
      world.owners(caller),
      (owners) => owners.size === backends && new Set(owners.values()).size === 2,
      60_000
    )
    const lost = world.ids.filter((id) => owners.get(id) === owner.address)
    const sessionsOf = ({ address }: Replica) => world.farm.sessions().filter(({ replica }) => replica === address)
    return { world, caller, owner, lost, sessionsOf }
  })

interface Ended {
  readonly id: string
  readonly outcome: string
  readonly began: number
  readonly at: number
}

const called = (caller: Replica, id: string, tag: string, ms = 0): Effect.Effect<Ended> =>
  Effect.suspend(() => {
    const began = now()
    return Effect.map(
      Effect.match(caller.ask({ ask: "call", id, tag, ms }), { onFailure: (error) => error, onSuccess: () => "ok" }),
      (outcome) => ({ id, outcome, began, at: now() })
    )
  })

/** Calls all of them all the while, one call to each at a time, as long as that goes on. */
const callingWhile = <A, E>(
  caller: Replica,
  ids: ReadonlyArray<string>,
  during: Effect.Effect<A, E>,
  { name = "", pause = 40 }: { readonly name?: string; readonly pause?: number } = {}
) =>
  Effect.gen(function* () {
    const ended: Array<Ended> = []
    const isOver = yield* Deferred.make<void>()
    const calling = (id: string) =>
      Effect.gen(function* () {
        for (let number = 0; !Deferred.isDoneUnsafe(isOver); number++) {
          ended.push(yield* called(caller, id, `${name} ${id} ${number}`))
          yield* Effect.sleep(pause)
        }
      })
    const calls = yield* Effect.forkChild(Effect.forEach(ids, calling, { concurrency: "unbounded" }))
    // every one of them has been answered
    yield* until(
      "all answer",
      Effect.sync(() => new Set(ended.map(({ id }) => id)).size),
      (size) => size === ids.length
    )
    const found = yield* during
    yield* Deferred.succeed(isOver, undefined)
    yield* Fiber.join(calls)
    return { ended, found }
  })

const longest = (numbers: ReadonlyArray<number>) => Math.max(0, ...numbers)

const count = (ended: ReadonlyArray<Ended>, outcome: string) => ended.filter((one) => one.outcome === outcome).length

/** When the last of them had its first session of another replica. */
const takenOver = (sessions: ReadonlyArray<Session>, from: number, ids: ReadonlyArray<string>) =>
  longest(
    ids.map((id) => {
      const [first] = sessions.filter((session) => session.backend === id && session.from >= from)
      return first === undefined ? Infinity : first.from - from
    })
  )

/** The owner is killed under calls, while others wait for the next one. */
export const killed = (options: Options) =>
  Effect.gen(function* () {
    const { caller, lost, owner, world } = yield* two(options)
    const flying = yield* Effect.forkChild(
      Effect.forEach(lost, (id) => called(caller, id, `flying ${id}`, 60_000), { concurrency: "unbounded" })
    )
    yield* until(
      "all are executed",
      Effect.sync(() => world.farm.executed().length),
      (executed) => executed === lost.length
    )
    const at = now()
    yield* owner.signal("SIGKILL")
    const told = yield* Fiber.join(flying)
    // What was written before its death was noticed would not be known to have failed.
    const waiting = yield* Effect.forEach(lost, (id) => called(caller, id, `waiting ${id}`), {
      concurrency: "unbounded"
    })
    return {
      calls: told.length,
      unknown: count(told, "OutcomeUnknown"),
      toldWithin: longest(told.map((one) => one.at - at)),
      waited: count(waiting, "ok"),
      servedAgain: longest(waiting.map((one) => one.at - at))
    }
  })

/** The owner ends in order, while all of its backends are called from elsewhere, and nothing takes long. */
export const ended = (options: Options) =>
  Effect.gen(function* () {
    const { caller, lost, owner, sessionsOf } = yield* two(options)
    let at = 0
    const handover = Effect.gen(function* () {
      at = now()
      yield* owner.signal("SIGTERM")
      yield* owner.exited
      const exited = now() - at
      yield* until(
        "all are taken over",
        Effect.sync(() => takenOver(sessionsOf(caller), at, lost)),
        (taken) => taken < Infinity
      )
      yield* Effect.sleep("500 millis")
      return exited
    })
    const { ended, found } = yield* callingWhile(caller, lost, handover)
    return {
      calls: ended.length,
      failed: ended.length - count(ended, "ok"),
      takenOver: takenOver(sessionsOf(caller), at, lost),
      longestCall: longest(ended.map((one) => one.at - one.began)),
      exited: found
    }
  })

/**
 * The owner is frozen with calls under way there, and asked for more meanwhile by callers of its own, which it hears of when it goes on; its lease is
 * over then.
 */
export const frozen = ({ seconds, ...options }: Options & { readonly seconds: number }) =>
  Effect.gen(function* () {
    const { caller, lost, owner, sessionsOf, world } = yield* two(options)
    const all = (from: Replica, what: string, ms = 0) =>
      Effect.forkChild(
        Effect.forEach(lost, (id) => called(from, id, `${what} ${id}`, ms), { concurrency: "unbounded" })
      )
    const executed = (what: string) => world.farm.executed().filter(({ tag }) => tag.startsWith(what))
    const flying = yield* all(caller, "flying", 60_000)
    yield* until(
      "all are executed",
      Effect.sync(() => executed("flying").length),
      (executed) => executed === lost.length
    )
    const at = now()
    yield* owner.signal("SIGSTOP")
    const queued = yield* all(owner, "queued")
    yield* Effect.sleep(seconds * 1000)
    yield* owner.signal("SIGCONT")
    const told = yield* Fiber.join(flying)
    const later = yield* Fiber.join(queued)
    return {
      calls: told.length,
      unknown: count(told, "OutcomeUnknown"),
      toldWithin: longest(told.map((one) => one.at - at)),
      takenOver: takenOver(sessionsOf(caller), at, lost),
      queued: later.length,
      answered: count(later, "ok"),
      executed: executed("queued").length,
      actedAtOnce: actedAtOnce(world.farm.sessions()).map(({ backend, what }) => `${backend}: ${what}`)
    }
  })

/** The owner is frozen while each of its backends is called all the while, by itself and by the other one: at any moment some are on their way. */
export const frozenUnderCalls = ({ seconds, ...options }: Options & { readonly seconds: number }) =>
  Effect.gen(function* () {
    const { caller, lost, owner, sessionsOf, world } = yield* two(options)
    let at = 0
    const freeze = Effect.gen(function* () {
      at = now()
      yield* owner.signal("SIGSTOP")
      yield* Effect.sleep(seconds * 1000)
      yield* owner.signal("SIGCONT")
      yield* Effect.sleep("1 second")
    })
    const hot = (from: Replica) =>
      callingWhile(from, lost, from === owner ? freeze : Effect.sleep(seconds * 1000), { pause: 0, name: from.address })
    const [byOwner, byCaller] = yield* Effect.all([hot(owner), hot(caller)], { concurrency: "unbounded" })
    const tags = world.farm.executed().map(({ tag }) => tag)
    return {
      calls: byOwner.ended.length + byCaller.ended.length,
      twice: tags.filter((tag, index) => tags.indexOf(tag) !== index),
      takenOver: takenOver(sessionsOf(caller), at, lost),
      actedAtOnce: actedAtOnce(world.farm.sessions()).map(({ backend, what }) => `${backend}: ${what}`)
    }
  })

/** The storage answers nobody for a while, while all backends are called. */
export const withoutStorage = ({ seconds, ...options }: Options & { readonly seconds: number }) =>
  Effect.gen(function* () {
    const { caller, world } = yield* two(options)
    const sessions = world.farm.sessions().length
    const closed = () => world.farm.sessions().filter(({ ended }) => ended !== undefined).length
    const before = closed()
    const away = Effect.gen(function* () {
      yield* options.storage.signal("SIGSTOP")
      yield* Effect.sleep(seconds * 1000)
      yield* options.storage.signal("SIGCONT")
      yield* Effect.sleep(options.lease / 3)
    })
    const { ended } = yield* callingWhile(caller, world.ids, away)
    return {
      calls: ended.length,
      failed: ended.length - count(ended, "ok"),
      longestCall: longest(ended.map((one) => one.at - one.began)),
      closed: closed() - before,
      opened: world.farm.sessions().length - sessions
    }
  }).pipe(Effect.ensuring(Effect.suspend(() => options.storage.signal("SIGCONT"))))

/** The process whose call it is dies, and the owner lives. */
export const callerKilled = (options: Options) =>
  Effect.gen(function* () {
    const { caller, lost, owner, sessionsOf, world } = yield* two(options)
    const ids = new Set(lost)
    const ofOwner = () => sessionsOf(owner).filter(({ backend }) => ids.has(backend))
    const sessions = ofOwner().length
    yield* Effect.forkChild(
      Effect.forEach(lost, (id) => called(caller, id, `orphan ${id}`, 60_000), { concurrency: "unbounded" })
    )
    const executed = () => world.farm.executed()
    yield* until("all are executed", Effect.sync(executed), (all) => all.length === lost.length)
    const at = now()
    yield* caller.signal("SIGKILL")
    yield* until("all are cancelled", Effect.sync(executed), (all) =>
      all.every(({ cancelled }) => cancelled !== undefined)
    )
    return {
      calls: lost.length,
      cancelledWithin: longest(executed().map(({ cancelled = Infinity }) => cancelled - at)),
      ended: ofOwner().filter(({ ended }) => ended !== undefined).length,
      opened: ofOwner().length - sessions
    }
  })
