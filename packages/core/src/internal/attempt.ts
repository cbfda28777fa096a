/**
 * Opening a session: connect, handshake, `setup`, and one probe that it must pass before callers get it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { Connector, Session, SessionHost } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import { type FailureDetail, ofCause } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Notice } from "../KeepaliveEvent.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import * as Probe from "../Probe.ts"
import { type Conclusion, isLate } from "./conclusion.ts"
import * as Refresh from "./refresh.ts"
import type { OpenSession, Seen } from "./sessionCell.ts"

export interface Options<Client, R, SetupR> {
  readonly connector: Connector<Client, R>
  readonly policy: KeepalivePolicy
  readonly setup: ((client: Client) => Effect.Effect<unknown, unknown, SetupR>) | undefined
  readonly generation: number
  /** whether only the deep probe is evidence */
  readonly deep: boolean
  /** closing it closes the session */
  readonly scope: Scope.Closeable
  readonly now: () => number
  readonly subscriptions: Set<string>
  readonly report: Report
  /** what this attempt is told in, where there are spans */
  readonly span: Tracer.Span | undefined
}

/** Who is told what the session sees once it is open. */
export interface Report {
  readonly observe: (evidence: Evidence.Evidence) => void
  readonly lost: (reason: FailureReason, detail?: FailureDetail) => void
  readonly output: (last: () => ReadonlyArray<string>) => void
  readonly notice: (notice: Notice, count: number) => void
}

/** Fails with what an attempt that failed has come to; without a timeout of its own. */
export const open = Effect.fnUntraced(function* <Client, R, SetupR>(
  options: Options<Client, R, SetupR>
): Effect.fn.Return<OpenSession<Client>, Conclusion, R | SetupR> {
  const { connector, generation, now, scope } = options
  const began = now()
  const seen: Seen = {
    alive: began,
    answer: began,
    call: began,
    credentials: Number.NEGATIVE_INFINITY,
    missedSince: undefined,
    muted: false
  }
  const died = yield* Deferred.make<never, Evidence.Evidence>()
  const host = hostOf(options, seen, died)
  const opening = Effect.gen(function* () {
    const session = yield* Scope.provide(connector.open(host), scope)
    const ladder: Probe.Ladder = { latched: undefined, silentPings: 0 }
    const opened: OpenSession<Client> = {
      generation,
      session,
      scope,
      ladder,
      seen,
      refresh: Refresh.make({ session, scope, seen, now, timeout: options.policy.timeout }),
      calls: new Set(),
      tools: new Map(),
      draining: undefined,
      ended: undefined,
      span: options.span,
      detail: undefined
    }
    yield* prepare(session, options)
    return opened
  })
  const accepted = Effect.mapError(opening, concluded).pipe(
    Effect.tap(({ ladder, session }) => accept(session, ladder, options))
  )
  const dead = Effect.mapError(Deferred.await(died), concluded)
  return yield* Effect.raceFirst(accepted, dead).pipe(
    Effect.onError(() =>
      Effect.sync(() => {
        seen.muted = true
      })
    )
  )
})

const concluded = (evidence: Evidence.Evidence): Conclusion => ({ verdict: Evidence.ofAttempt(evidence), late: false })

const hostOf = (
  { now, report, subscriptions }: Pick<Options<unknown, unknown, unknown>, "now" | "report" | "subscriptions">,
  seen: Seen,
  died: Deferred.Deferred<never, Evidence.Evidence>
): SessionHost => ({
  alive: () => (seen.alive = now()),
  observe: (evidence) => {
    if (!seen.muted) report.observe(evidence)
  },
  lost: (reason, detail) => {
    if (seen.muted) return
    Deferred.doneUnsafe(died, Exit.fail(Evidence.transportFailure(reason, detail)))
    report.lost(reason, detail)
  },
  output: report.output,
  notice: (notice, count = 1) => {
    if (!seen.muted) report.notice(notice, count)
  },
  subscriptions
})

/** What has to be done on every new session. */
const prepare = Effect.fnUntraced(function* <Client, SetupR>(
  session: Session<Client>,
  { policy, setup }: Pick<Options<Client, never, SetupR>, "policy" | "setup">
) {
  if (setup) {
    yield* Effect.catchCause(setup(session.client), (cause) =>
      Effect.fail(Evidence.transportFailure("setup", ofCause(cause)))
    )
  }
  const method = policy.probe
  if (typeof method !== "object" || method.method !== "tool") return
  const tools = yield* session.tools
  if (tools.every((tool) => tool.name !== method.tool.name)) {
    yield* Effect.fail(Evidence.transportFailure("tool_missing"))
  }
})

const accept = Effect.fnUntraced(function* (
  session: Session<unknown>,
  ladder: Probe.Ladder,
  { deep, now, policy }: Pick<Options<unknown, unknown, unknown>, "deep" | "now" | "policy">
): Effect.fn.Return<void, Conclusion> {
  if (!deep && !Probe.isProbed(policy.probe, session)) return
  const startedAt = now()
  const { asked, verdict } = yield* Probe.ask(session, ladder, policy, deep)
  if (verdict._tag === "Succeeded") return
  return yield* Effect.fail({ verdict, late: isLate(now() - startedAt, policy.timeout, asked) })
})
