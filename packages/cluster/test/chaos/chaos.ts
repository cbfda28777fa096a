/** Replicas that are killed, ended, frozen and joined, and a storage that crashes, while every replica calls every backend all the while. */
import { Clock, Deferred, Effect, Exit, Fiber, Random, Scope } from "effect"
import { type Act, actedAtOnce } from "../support/farm.ts"
import type { Storage } from "../support/storage.ts"
import { gone, make, type Replica, until } from "../support/world.ts"

const backends = 24
const lease = 4000
/** how many calls each replica has under way */
const callers = 6
/** how long a call may take after everything is well again, and the rest of a freeze for one whose caller was frozen */
const settling = "60 seconds"

/** how long a process that is told to end may take, beside its drain, while the storage may be away */
const ending = "20 seconds"

/** how long a busy machine takes for a write that was due when a process was frozen, in milliseconds; the next look at the lease is earlier than the next probe */
const leftOver = 300

const troubles = ["SIGKILL", "SIGTERM", "SIGSTOP 10 s", "SIGSTOP 20 s", "storage restart", "join"] as const
type Trouble = (typeof troubles)[number]

export interface Report {
  readonly did: { readonly [trouble in Trouble]?: number }
  /** how many calls ended how, those whose caller died as "gone" */
  readonly told: { readonly [outcome: string]: number }
  /** calls, by their tags */
  readonly twice: ReadonlyArray<string>
  readonly deniedButDone: ReadonlyArray<string>
  readonly doneButNot: ReadonlyArray<string>
  readonly unsettled: ReadonlyArray<string>
  /** processes that were told to end, and did not */
  readonly notEnded: ReadonlyArray<string>
  /** what calls failed with that no caller expects */
  readonly unexpected: ReadonlyArray<string>
  /** owners of one backend, as its server saw them */
  readonly actedAtOnce: ReadonlyArray<Act>
  /** those of the one case that cannot be closed: frozen between the look at the lease and the write, which comes as soon as the process goes on */
  readonly frozenBeforeTheWrite: ReadonlyArray<Act>
  /** what happened to which replica when */
  readonly log: ReadonlyArray<string>
}

interface Living {
  readonly replica: Replica
  readonly scope: Scope.Closeable
  isFrozen: boolean
}

/** Outcomes that say that a call was not executed are all but these. */
const mayHaveRun = new Set(["ok", "OutcomeUnknown", gone])
/** What a call may meet here: no server answers with an error. One that has begun where the backend has just ended, and was not written, is rejected. */
const expected = new Set([...mayHaveRun, "SessionUnavailable", "CallRejected"])

const count = (all: Iterable<string>): { [name: string]: number } => {
  const found: { [name: string]: number } = {}
  for (const name of all) found[name] = (found[name] ?? 0) + 1
  return found
}

export const chaos = (options: {
  readonly storage: Storage
  readonly seconds: number
  readonly seed: string
  /** Node's own options for the replicas */
  readonly node?: ReadonlyArray<string>
  /** without: all of them */
  readonly troubles?: ReadonlyArray<Trouble>
}): Effect.Effect<Report, string> =>
  Effect.gen(function* () {
    const world = yield* make({ ...options, backends, lease, options: { shards: 300 } })
    const outcomes = new Map<string, string>()
    const underWay = new Set<string>()
    const did: Array<Trouble> = []
    const log: Array<string> = []
    const scope = yield* Scope.Scope
    const isOver = yield* Deferred.make<void>()
    const living = new Set<Living>()
    /** when which replica went on, by its address */
    const thawed: Array<readonly [address: string, at: number]> = []
    const notEnded: Array<string> = []
    const everyCaller: Array<Fiber.Fiber<void>> = []
    let joined = 0

    const calling = (replica: Replica, name: string) =>
      Effect.gen(function* () {
        for (let number = 0; !Deferred.isDoneUnsafe(isOver); number++) {
          const tag = `${name}-${number}`
          const id = yield* Effect.orDie(Random.choice(world.ids))
          const ms = (yield* Random.next) < 0.3 ? yield* Random.nextIntBetween(100, 1000) : 0
          underWay.add(tag)
          const outcome = yield* Effect.match(replica.ask({ ask: "call", id, tag, ms }), {
            onFailure: (error) => error,
            onSuccess: () => "ok"
          })
          underWay.delete(tag)
          outcomes.set(tag, outcome)
          if (outcome === gone) return
          yield* Effect.sleep(20)
        }
      }).pipe(Random.withSeed(`${options.seed} ${name}`))

    const note = (what: string, { replica }: Living) => log.push(`${Date.now()} ${replica.address} ${what}`)
    const join = Effect.gen(function* () {
      const name = `${++joined}`
      const own = yield* Scope.fork(scope)
      const replica = yield* Scope.provide(world.replica, own)
      const all = Effect.forEach(
        Array.from({ length: callers }, (_, index) => `${name}-${index}`),
        (caller) => calling(replica, caller),
        { concurrency: "unbounded", discard: true }
      )
      const one: Living = { replica, scope: own, isFrozen: false }
      living.add(one)
      note("joined", one)
      everyCaller.push(yield* Effect.forkIn(all, scope))
    })
    const leave = (one: Living, signal: "SIGKILL" | "SIGTERM") =>
      Effect.gen(function* () {
        living.delete(one)
        note(signal, one)
        yield* one.replica.signal(signal)
        const exited = yield* Effect.timeoutOption(one.replica.exited, ending)
        if (exited._tag === "None") notEnded.push(`${Date.now()} ${one.replica.address}`)
        yield* Scope.close(one.scope, Exit.void)
      })
    const freeze = (one: Living, seconds: number) =>
      Effect.gen(function* () {
        one.isFrozen = true
        note(`frozen for ${seconds} s`, one)
        yield* one.replica.signal("SIGSTOP")
        const thaw = Effect.suspend(() => {
          one.isFrozen = false
          note("goes on", one)
          thawed.push([one.replica.address, Date.now()])
          return one.replica.signal("SIGCONT")
        })
        yield* Effect.forkIn(
          Effect.andThen(Effect.raceFirst(Effect.sleep(seconds * 1000), Deferred.await(isOver)), thaw),
          scope
        )
      })
    const someone = Effect.gen(function* () {
      const awake = () => [...living].filter(({ isFrozen }) => !isFrozen)
      // one is always left to take over
      while (awake().length < 2) yield* join
      return yield* Effect.orDie(Random.choice(awake()))
    })

    const afflict = (trouble: Trouble): Effect.Effect<void> => {
      did.push(trouble)
      switch (trouble) {
        case "SIGKILL":
        case "SIGTERM":
          return Effect.flatMap(someone, (one) => leave(one, trouble))
        case "SIGSTOP 10 s":
          return Effect.flatMap(someone, (one) => freeze(one, 10))
        case "SIGSTOP 20 s":
          return Effect.flatMap(someone, (one) => freeze(one, 20))
        case "storage restart":
          return options.storage.restart()
        case "join":
          return living.size < 4 ? join : Effect.void
      }
    }
    // each of them at least once, and none half
    const troubling = Effect.gen(function* () {
      const until = (yield* Clock.currentTimeMillis) + options.seconds * 1000
      do {
        for (const trouble of yield* Random.shuffle(options.troubles ?? troubles)) {
          yield* afflict(trouble)
          while (living.size < 3) yield* join
          yield* Effect.flatMap(Random.nextIntBetween(1000, 5000), (millis) => Effect.sleep(millis))
        }
      } while ((yield* Clock.currentTimeMillis) < until)
    }).pipe(Random.withSeed(options.seed))

    yield* Effect.all([join, join, join], { concurrency: "unbounded" })
    const [first] = living
    yield* until("all are kept", world.owners(first!.replica), (owners) => owners.size === backends, 60_000)
    yield* troubling
    yield* Deferred.succeed(isOver, undefined)
    yield* Effect.timeoutOption(Fiber.joinAll(everyCaller), settling)

    const executed = count(world.farm.executed().map(({ tag }) => tag))
    const settled = [...outcomes]
    const acts = actedAtOnce(world.farm.sessions())
    const isLeftOver = ({ at, replica }: Act) =>
      thawed.some(([address, thaw]) => address === replica && at >= thaw && at - thaw < leftOver)
    return {
      did: count(did),
      told: count(outcomes.values()),
      twice: Object.keys(executed).filter((tag) => executed[tag]! > 1),
      deniedButDone: settled.flatMap(([tag, told]) => (!mayHaveRun.has(told) && tag in executed ? [tag] : [])),
      doneButNot: settled.flatMap(([tag, told]) => (told === "ok" && !(tag in executed) ? [tag] : [])),
      unsettled: [...underWay],
      notEnded,
      unexpected: settled.flatMap(([tag, told]) => (expected.has(told) ? [] : [`${tag}: ${told}`])),
      actedAtOnce: acts.filter((act) => !isLeftOver(act)),
      frozenBeforeTheWrite: acts.filter(isLeftOver),
      log
    }
  }).pipe(Effect.scoped)
