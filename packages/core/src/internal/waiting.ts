/**
 * What a call waits for, and the errors of one that waits in vain: a session, the decision of a doubt, credentials.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CallRejected, SessionUnavailable } from "../BackendError.ts"
import { admission, reasonOf } from "../ConnectionState.ts"
import type { FailureReason } from "../FailureReason.ts"
import { isProbed } from "../Probe.ts"
import type { Doubt } from "../Signal.ts"
import type { Kept } from "./judgement.ts"
import type { OpenSession } from "./sessionCell.ts"

/** When a call that begins now has waited long enough. */
export const deadlineOf = <Client>({ policy, supervisor }: Kept<Client>) =>
  supervisor.now() + Duration.toMillis(policy.waitForSession)

/** Waits for a session that calls may run on, until the deadline. */
const awaitSession = <Client>(
  kept: Kept<Client>,
  deadline: number
): Effect.Effect<OpenSession<Client>, SessionUnavailable | CallRejected> => {
  const { supervisor } = kept
  const awaiting = Effect.callback<OpenSession<Client>, SessionUnavailable | CallRejected>((resume) => {
    const look = () => {
      const open = supervisor.current()
      if (open) resume(Effect.succeed(open))
      if (open) return true
      const error = denied(kept, deadline)
      if (error) resume(Effect.fail(error))
      return error !== undefined
    }
    supervisor.send({ _tag: "CallStarted" })
    if (look()) return
    supervisor.waiters.add(look)
    return Effect.sync(() => supervisor.waiters.delete(look))
  })
  return Effect.suspend(() => {
    const open = supervisor.current()
    if (open) return Effect.succeed(open)
    return Effect.timeoutOrElse(awaiting, {
      duration: Duration.millis(Math.max(0, deadline - supervisor.now())),
      orElse: () => Effect.fail(unavailable(kept))
    })
  })
}

/** Why a call cannot even wait; `undefined` while it can. */
const denied = <Client>(kept: Kept<Client>, deadline: number): SessionUnavailable | CallRejected | undefined => {
  const { supervisor } = kept
  const verdict = admission(supervisor.state())
  if (verdict === "reject") return rejected(kept)
  const retryAfter = supervisor.untilAttempt()
  const isDueLater = retryAfter !== undefined && supervisor.now() + Duration.toMillis(retryAfter) > deadline
  return verdict === "wait" && isDueLater ? unavailable(kept) : undefined
}

/** The error of a state that rejects. */
export const rejected = <Client>({ id, supervisor }: Kept<Client>): CallRejected => {
  const state = supervisor.state()
  return new CallRejected({
    backend: id,
    // `admission` rejects in these states only
    state: state._tag as CallRejected["state"],
    reason: reasonOf(state),
    detail: supervisor.detail(),
    retryAfter: supervisor.untilAttempt()
  })
}

/** The error of a state in which there is no session. */
export const unavailable = <Client>({ id, supervisor }: Kept<Client>) =>
  new SessionUnavailable({
    backend: id,
    state: supervisor.state()._tag,
    reason: reasonOf(supervisor.state()),
    detail: supervisor.detail(),
    retryAfter: supervisor.untilAttempt()
  })

/** Casts doubt on the session and waits until a probe has decided it; false if the deadline comes first. */
export const awaitDecision = <Client>(
  { supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  deadline: number,
  doubt: Doubt,
  reason: FailureReason
): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const decided = () => resume(Effect.succeed(true))
    // a session that has been replaced is in doubt no more
    if (supervisor.current() !== open) return decided()
    supervisor.doubters.add(decided)
    supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
    return Effect.sync(() => supervisor.doubters.delete(decided))
  }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(Math.max(0, deadline - supervisor.now())),
      orElse: () => Effect.succeed(false)
    })
  )

/**
 * Whether a run that began then, and was rejected, may be made again with other credentials: they are read, unless whoever
 * came first has done so for all. False if that takes longer than there is time.
 */
export const hasOtherCredentials = <Client>(
  { supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  startedAt: number,
  deadline: number
): Effect.Effect<boolean> =>
  open.seen.credentials > startedAt
    ? Effect.succeed(true)
    : Effect.map(
        Effect.timeoutOption(open.refresh, Duration.millis(Math.max(0, deadline - supervisor.now()))),
        Option.isSome
      )

/** The session on which a call may begin: one that was silent for long is asked first whether it still lives. */
export const ready = Effect.fnUntraced(function* <Client>(kept: Kept<Client>, deadline: number) {
  while (true) {
    const open = yield* awaitSession(kept, deadline)
    if (!isStale(kept, open, kept.supervisor.now())) return open
    const isDecided = yield* awaitDecision(kept, open, deadline, "stale", "timeout")
    if (!isDecided) return yield* Effect.fail(unavailable(kept))
    if (kept.supervisor.current() === open) return open
  }
})

/** A session that is not probed, for there is nothing to keep, is not asked before a call either. */
export const isStale = <Client>({ policy }: Kept<Client>, open: OpenSession<Client>, now: number) =>
  now - open.seen.alive > Duration.toMillis(policy.staleAfter) && isProbed(policy.probe, open.session)
