/**
 * What a call waits for, and the errors of one that waits in vain: a session, the decision of a doubt, credentials.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CallRejected, SessionUnavailable } from "../BackendError.ts"
import { admission, reasonOf } from "../ConnectionState.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import { isProbed } from "../Probe.ts"
import type { Doubt } from "../Signal.ts"
import { callRejected, sessionUnavailable } from "./errors.ts"
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
  return callRejected({
    backend: id,
    // `admission` rejects in these states only
    state: state._tag as CallRejected["state"],
    reason: reasonOf(state),
    detail: supervisor.detail(),
    // a trial that runs ends with its lease
    retryAfter: supervisor.untilAttempt() ?? (state._tag === "Connecting" ? supervisor.untilVerdict() : undefined)
  })
}

/** The error of a state in which there is no session. */
export const unavailable = <Client>({ id, supervisor }: Kept<Client>) =>
  sessionUnavailable({
    backend: id,
    state: supervisor.state()._tag,
    reason: reasonOf(supervisor.state()),
    detail: supervisor.detail(),
    retryAfter: supervisor.untilAttempt()
  })

/** What casts doubt on a session. */
export interface Doubting {
  readonly doubt: Doubt | undefined
  readonly reason: FailureReason
  readonly detail: FailureDetail | undefined
}

const silence: Doubting = { doubt: "stale", reason: "timeout", detail: undefined }

/** Casts doubt on the session, and waits for nothing. */
export const castDoubt = <Client>(
  { supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  { detail, doubt, reason }: Doubting
): void => {
  if (doubt === undefined) return
  if (supervisor.isOpen(open) && detail !== undefined) open.detail = detail
  supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
}

/** Casts doubt on the session and waits until a probe has decided it; false if the deadline comes first. */
export const awaitDecision = <Client>(
  kept: Kept<Client>,
  open: OpenSession<Client>,
  deadline: number,
  doubting: Doubting = silence
): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const { doubters, isOpen } = kept.supervisor
    const decided = () => resume(Effect.succeed(true))
    // a session that has been replaced is in doubt no more
    if (!isOpen(open)) return decided()
    doubters.add(decided)
    castDoubt(kept, open, doubting)
    return Effect.sync(() => doubters.delete(decided))
  }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(Math.max(0, deadline - kept.supervisor.now())),
      orElse: () => Effect.succeed(false)
    })
  )

/**
 * Whether a run that began then, and was rejected, can be made again with other credentials than it was sent with: they are
 * read, unless whoever came first has found others for all. False if that takes longer than there is time.
 */
export const hasOtherCredentials = <Client>(
  { supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  startedAt: number,
  deadline: number
): Effect.Effect<boolean> =>
  open.seen.credentials >= startedAt
    ? Effect.succeed(true)
    : Effect.timeoutOrElse(open.refresh, {
        duration: Duration.millis(Math.max(0, deadline - supervisor.now())),
        orElse: () => Effect.succeed(false)
      })

/** The session on which a call may begin: one that was silent for long is asked first whether it still lives. */
export const ready = Effect.fnUntraced(function* <Client>(kept: Kept<Client>, deadline: number) {
  while (true) {
    const open = yield* awaitSession(kept, deadline)
    if (!isStale(kept, open, kept.supervisor.now())) return open
    const isDecided = yield* awaitDecision(kept, open, deadline)
    if (!isDecided) return yield* Effect.fail(unavailable(kept))
    if (kept.supervisor.current() === open) return open
  }
})

/** Waits while the session is held, until the deadline: afterwards it takes calls again, or is gone. */
export const awaitRelease = <Client>(
  kept: Kept<Client>,
  open: OpenSession<Client>,
  deadline: number
): Effect.Effect<void, SessionUnavailable> => {
  const { supervisor } = kept
  const isReleased = () => !supervisor.isOpen(open) || supervisor.current() === open
  return Effect.suspend(() =>
    isReleased()
      ? Effect.void
      : Effect.callback<void>((resume) => {
          const look = () => {
            if (!isReleased()) return false
            resume(Effect.void)
            return true
          }
          supervisor.waiters.add(look)
          return Effect.sync(() => supervisor.waiters.delete(look))
        }).pipe(
          Effect.timeoutOrElse({
            duration: Duration.millis(Math.max(0, deadline - supervisor.now())),
            orElse: () => Effect.fail(unavailable(kept))
          })
        )
  )
}

/** A session that is not probed, for there is nothing to keep, is not asked before a call either. */
export const isStale = <Client>({ policy }: Kept<Client>, open: OpenSession<Client>, now: number) =>
  now - open.seen.alive > Duration.toMillis(policy.staleAfter) && isProbed(policy.probe, open.session)
