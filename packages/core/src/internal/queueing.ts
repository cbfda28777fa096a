/**
 * How a call comes to run where calls are limited: it is admitted or rejected, waits for a session, and then for its turn.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CallRejected, SessionUnavailable } from "../BackendError.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import { callRejected } from "./errors.ts"
import { Limit, type Place } from "./limit.ts"
import type { Pool } from "./pool.ts"
import { type CallInFlight, isUsable, type OpenSession } from "./sessionCell.ts"
import type { Supervisor } from "./supervisor.ts"
import { awaitRelease, deadlineOf, ready } from "./waiting.ts"

/**
 * The limit of a backend that has this policy and shares these places; `undefined` where nothing limits its calls. `before`: the one
 * that it had under another policy, whose calls are still under way.
 */
export const limitOf = (
  { maxConcurrent, queue }: Pick<KeepalivePolicy, "maxConcurrent" | "queue">,
  pool: Pool | undefined,
  now: () => number,
  before?: Limit
): Limit | undefined => {
  const bounds = { maxConcurrent: maxConcurrent === "none" ? Number.POSITIVE_INFINITY : maxConcurrent, queue }
  before?.rebound(bounds)
  return before ?? (maxConcurrent === "none" && pool === undefined ? undefined : new Limit(bounds, pool, now))
}

/** The error of a call that is one too many. */
export const overloaded = (supervisor: Supervisor<unknown>, { retryAfter }: Limit): CallRejected => {
  const { detail, id, tag, untilAttempt } = supervisor
  const wait = Duration.millis(retryAfter)
  return callRejected({
    backend: id,
    state: tag,
    reason: "overloaded",
    detail,
    retryAfter: untilAttempt === undefined || supervisor.current ? wait : Duration.max(wait, untilAttempt)
  })
}

/**
 * Admits a call for as long as it lasts, or rejects it. Without a limit it is `undefined` that is given, and nothing has to end.
 */
export const admitted = <A, E, R>(
  supervisor: Supervisor<unknown>,
  call: (place: Place | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CallRejected, R> =>
  Effect.suspend(() => {
    const { limit } = supervisor
    if (limit === undefined) return call(undefined)
    return Effect.acquireUseRelease(
      Effect.sync(() => limit.enter()),
      (place): Effect.Effect<A, E | CallRejected, R> =>
        place === undefined ? Effect.suspend(() => Effect.fail(overloaded(supervisor, limit))) : call(place),
      (place) => Effect.sync(() => place?.leave())
    )
  })

/** The session on which a call runs when its turn has come. What it waits for its turn is no part of `waitForSession`. */
export const turn = Effect.fnUntraced(function* <Client>(
  supervisor: Supervisor<Client>,
  place: Place
): Effect.fn.Return<OpenSession<Client>, SessionUnavailable | CallRejected> {
  while (true) {
    const open = yield* ready(supervisor, deadlineOf(supervisor))
    if (place.start()) return open
    yield* queued(supervisor, place, () => supervisor.isOpen(open), undefined)
    if (place.isRunning && supervisor.current) return yield* ready(supervisor, deadlineOf(supervisor))
    // whoever has no session to run on keeps nobody from running
    place.pause()
  }
})

/** Waits for the turn of a call that is bound to a session; without it, that session is not usable any more. */
export const turnOn = Effect.fnUntraced(function* <Client>(
  supervisor: Supervisor<Client>,
  place: Place,
  open: OpenSession<Client>
): Effect.fn.Return<void, SessionUnavailable> {
  if (!isUsable(open) || place.start()) return
  yield* queued(supervisor, place, () => isUsable(open), open)
  if (place.isRunning) yield* awaitRelease(supervisor, open, deadlineOf(supervisor))
})

/** Waits until its turn has come, or until there is no reason to wait any more. */
const queued = (
  supervisor: Supervisor<unknown>,
  place: Place,
  isWorthIt: () => boolean,
  open: OpenSession<unknown> | undefined
): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const { doubters } = supervisor
    let isOver = false
    const stop = () => {
      isOver = true
      place.unqueue()
      doubters.delete(look)
      if (open !== undefined) open.calls.delete(bound)
      supervisor.emit({ _tag: "CallDequeued" })
    }
    const end = () => {
      // its turn may come while it is about to be told of something else
      if (isOver) return
      stop()
      resume(Effect.void)
    }
    // whoever waits for a doubt to be decided is told of every session that is gone, too
    const look = () => (isWorthIt() && !isOver ? void doubters.add(look) : end())
    // nothing is asked of the server meanwhile, so that it excuses no silent probe
    const bound: CallInFlight = {
      startedAt: Number.POSITIVE_INFINITY,
      requests: [],
      abandon: end,
      before: undefined,
      after: undefined,
      isIn: false
    }
    supervisor.emit({ _tag: "CallQueued" })
    doubters.add(look)
    if (open !== undefined) open.calls.add(bound)
    place.queue(end)
    return Effect.sync(stop)
  })
