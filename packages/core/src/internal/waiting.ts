/**
 * What a call waits for, and the errors of one that waits in vain: a session, the decision of a doubt, credentials.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CallRejected, SessionUnavailable } from "../BackendError.ts"
import { admission, reasonOf } from "../ConnectionState.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import { attentionOf } from "../engine/Probe.ts"
import type { Doubt } from "../Evidence.ts"
import { callRejected, sessionUnavailable } from "./errors.ts"
import { timeoutOrElse } from "./ending.ts"
import * as Refresh from "./refresh.ts"
import type { OpenSession } from "./sessionCell.ts"
import type { Supervisor } from "./supervisor.ts"

/** When a call that begins now has waited long enough. */
export const deadlineOf = ({ deadlines, policy }: Supervisor<unknown>) =>
  deadlines.now() + Duration.toMillis(policy.waitForSession)

/** Waits until it is told, at the latest until the deadline: then `late` follows. `listen` returns how to stop listening. */
const awaiting = <A, E>(
  { deadlines }: Supervisor<unknown>,
  deadline: number,
  late: Effect.Effect<A, E>,
  listen: (tell: (outcome: Effect.Effect<A, E>) => void) => (() => void) | undefined
): Effect.Effect<A, E> =>
  Effect.callback((resume) => {
    let stop: (() => void) | undefined
    const timer = deadlines.set(deadline, () => {
      stop?.()
      resume(late)
    })
    stop = listen((outcome) => {
      deadlines.cancel(timer)
      resume(outcome)
    })
    return Effect.sync(() => {
      deadlines.cancel(timer)
      stop?.()
    })
  })

/** Waits for a session that calls may run on, until the deadline. */
const awaitSession = <Client>(
  supervisor: Supervisor<Client>,
  deadline: number
): Effect.Effect<OpenSession<Client>, SessionUnavailable | CallRejected> =>
  Effect.suspend(() => {
    const open = supervisor.current
    if (open) return Effect.succeed(open)
    const late = Effect.suspend(() => Effect.fail(unavailable(supervisor)))
    return awaiting<OpenSession<Client>, SessionUnavailable | CallRejected>(supervisor, deadline, late, (tell) => {
      const look = () => {
        const open = supervisor.current
        const error = open ? undefined : denied(supervisor, deadline)
        if (open) tell(Effect.succeed(open))
        else if (error) tell(Effect.fail(error))
        return open !== undefined || error !== undefined
      }
      supervisor.send({ _tag: "CallStarted" })
      if (look()) return undefined
      supervisor.waiters.add(look)
      return () => supervisor.waiters.delete(look)
    })
  })

/** Why a call cannot even wait; `undefined` while it can. */
const denied = (supervisor: Supervisor<unknown>, deadline: number): SessionUnavailable | CallRejected | undefined => {
  const verdict = admission(supervisor.state)
  if (verdict === "reject") return rejected(supervisor)
  // a session that is held may take calls again before another one is tried in its place
  const retryAfter = supervisor.tag === "Unhealthy" ? undefined : supervisor.untilAttempt
  const isDueLater = retryAfter !== undefined && supervisor.now() + Duration.toMillis(retryAfter) > deadline
  return verdict === "wait" && isDueLater ? unavailable(supervisor) : undefined
}

/** The error of a state that rejects. */
export const rejected = (supervisor: Supervisor<unknown>): CallRejected => {
  const { state } = supervisor
  return callRejected({
    backend: supervisor.id,
    state: state._tag,
    reason: reasonOf(state),
    detail: supervisor.detail,
    // a trial that runs ends with its lease
    retryAfter: supervisor.untilAttempt ?? (state._tag === "Connecting" ? supervisor.untilVerdict : undefined)
  })
}

/** The error of a state in which there is no session. */
export const unavailable = ({ detail, id, state, untilAttempt }: Supervisor<unknown>) =>
  sessionUnavailable({ backend: id, state: state._tag, reason: reasonOf(state), detail, retryAfter: untilAttempt })

/** What casts doubt on a session. */
export interface Doubting {
  readonly doubt: Doubt | undefined
  readonly reason: FailureReason
  readonly detail: FailureDetail | undefined
}

const silence: Doubting = { doubt: "stale", reason: "timeout", detail: undefined }

/** Casts doubt on the session, and waits for nothing. */
export const castDoubt = <Client>(
  supervisor: Supervisor<Client>,
  open: OpenSession<Client>,
  { detail, doubt, reason }: Doubting
): void => {
  if (doubt === undefined) return
  if (supervisor.isOpen(open) && detail !== undefined) open.detail = detail
  supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
}

/** Casts doubt on the session and waits until a probe has decided it; false if the deadline comes first. */
export const awaitDecision = <Client>(
  supervisor: Supervisor<Client>,
  open: OpenSession<Client>,
  deadline: number,
  doubting: Doubting = silence
): Effect.Effect<boolean> =>
  awaiting(supervisor, deadline, Effect.succeed(false), (tell) => {
    const { doubters } = supervisor
    const decided = () => tell(Effect.succeed(true))
    // a session that has been replaced is in doubt no more
    if (!supervisor.isOpen(open)) return void decided()
    doubters.add(decided)
    castDoubt(supervisor, open, doubting)
    return () => doubters.delete(decided)
  })

/**
 * Whether a run that began then, and was rejected, can be made again with other credentials than it was sent with: they are
 * read, unless whoever came first has found others for all. False if that takes longer than there is time.
 */
export const hasOtherCredentials = (
  { deadlines: { now }, policy }: Supervisor<unknown>,
  open: OpenSession<unknown>,
  startedAt: number,
  deadline: number
): Effect.Effect<boolean> =>
  open.seen.credentials >= startedAt
    ? Effect.succeed(true)
    : timeoutOrElse(
        Refresh.differs(open, now, policy.timeout),
        Duration.millis(Math.max(0, deadline - now())),
        Effect.succeed(false)
      )

/** The session on which a call may begin: one that was silent for long is asked first whether it still lives. */
export const ready = Effect.fnUntraced(function* <Client>(supervisor: Supervisor<Client>, deadline: number) {
  while (true) {
    const open = yield* awaitSession(supervisor, deadline)
    if (!isStale(supervisor, open, supervisor.now())) return open
    const isDecided = yield* awaitDecision(supervisor, open, deadline)
    if (!isDecided) return yield* Effect.fail(unavailable(supervisor))
    if (supervisor.current === open) return open
  }
})

/** Waits while the session is held, until the deadline: afterwards it takes calls again, or is gone. */
export const awaitRelease = <Client>(
  supervisor: Supervisor<Client>,
  open: OpenSession<Client>,
  deadline: number
): Effect.Effect<void, SessionUnavailable> =>
  Effect.suspend(() => {
    const isReleased = () => !supervisor.isOpen(open) || supervisor.current === open
    if (isReleased()) return Effect.void
    const late = Effect.suspend(() => Effect.fail(unavailable(supervisor)))
    return awaiting<void, SessionUnavailable>(supervisor, deadline, late, (tell) => {
      const look = () => {
        if (!isReleased()) return false
        tell(Effect.void)
        return true
      }
      supervisor.waiters.add(look)
      return () => supervisor.waiters.delete(look)
    })
  })

/** A session that is left alone while nobody calls, for there is nothing to keep, is not asked before a call either. */
export const isStale = (
  { policy, staleAfter }: Supervisor<unknown>,
  { seen, session }: OpenSession<unknown>,
  now: number
): boolean => now - seen.alive > staleAfter && attentionOf(policy.probe, session) === "always"
