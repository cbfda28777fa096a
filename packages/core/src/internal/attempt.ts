/**
 * Opening a session: connect, handshake, `setup`, and one probe that it must pass before callers get it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { Connector, Session, SessionHost } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import { type FailureDetail, ofCause } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Notice } from "../KeepaliveEvent.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import * as Probe from "../engine/Probe.ts"
import { type Conclusion, isLate } from "./conclusion.ts"
import type { Deadlines } from "./deadlines.ts"
import { endedBy } from "./ending.ts"
import { Calls, type OpenSession, type Seen } from "./sessionCell.ts"

export interface Options<Client, R, SetupR> {
  readonly connector: Connector<Client, R>
  readonly policy: KeepalivePolicy
  readonly setup: ((client: Client) => Effect.Effect<unknown, unknown, SetupR>) | undefined
  readonly generation: number
  /** whether only the deep probe is evidence */
  readonly deep: boolean
  /** closing it closes the session */
  readonly scope: Scope.Closeable
  readonly deadlines: Deadlines
  readonly subscriptions: Set<string>
  readonly report: Report
  /** what this attempt is told in, where there are spans */
  readonly span: Tracer.Span | undefined
}

/** Who is told what a session sees, by its generation. */
export interface Report {
  readonly observe: (generation: number, evidence: Evidence.Evidence) => void
  readonly lost: (generation: number, reason: FailureReason, detail?: FailureDetail) => void
  readonly notice: (notice: Notice, count: number) => void
  /** how to read what the server wrote last */
  readonly output: (last: () => ReadonlyArray<string>) => void
}

/** Fails with what an attempt that failed has come to, which is late once `connectTimeout` has passed. */
export const open = <Client, R, SetupR>(
  options: Options<Client, R, SetupR>
): Effect.Effect<OpenSession<Client>, Conclusion, R | SetupR> => {
  const host = new Host(options)
  const opening = Scope.provide(options.connector.open(host), options.scope).pipe(
    Effect.map((session): OpenSession<Client> => ({
      generation: options.generation,
      session,
      scope: options.scope,
      ladder: { latched: undefined, silentPings: 0 },
      seen: host.seen,
      reading: undefined,
      calls: new Calls(),
      tools: noTools,
      draining: undefined,
      drainEnds: undefined,
      ended: undefined,
      span: options.span,
      detail: undefined
    })),
    Effect.tap(({ session }) => prepare(session, options)),
    Effect.mapError(concluded),
    Effect.tap(({ ladder, session }) => accept(session, ladder, options)),
    // one that has died as it was opened
    Effect.tap(() => (host.dead === undefined ? Effect.void : Effect.fail(concluded(host.dead))))
  )
  const { deadlines, policy } = options
  return endedBy(opening, (end) => {
    const endsAt = deadlines.now() + Duration.toMillis(policy.connectTimeout)
    const deadline = deadlines.set(endsAt, () => end(Effect.fail(timedOut)))
    const stop = host.whenDead((evidence) => end(Effect.fail(concluded(evidence))))
    return () => {
      stop()
      deadlines.cancel(deadline)
    }
  }).pipe(
    Effect.onError(() =>
      Effect.sync(() => {
        host.seen.muted = true
      })
    )
  )
}

const noTools: ReadonlyMap<string, boolean> = new Map()

const concluded = (evidence: Evidence.Evidence): Conclusion => ({ verdict: Evidence.ofAttempt(evidence), late: false })

const timedOut: Conclusion = { verdict: { _tag: "Failed", reason: "timeout", detail: undefined }, late: false }

/** The backend, as one session sees it. */
class Host implements SessionHost {
  readonly seen: Seen
  readonly subscriptions: Set<string>
  readonly #generation: number
  readonly #now: () => number
  readonly #report: Report
  /** what was seen when it died */
  dead: Evidence.Evidence | undefined
  #whenDead: ((evidence: Evidence.Evidence) => void) | undefined

  constructor({
    generation,
    deadlines: { now },
    report,
    subscriptions
  }: Pick<Options<unknown, unknown, unknown>, "generation" | "deadlines" | "report" | "subscriptions">) {
    const began = now()
    this.seen = {
      alive: began,
      answer: began,
      call: began,
      credentials: Number.NEGATIVE_INFINITY,
      missedSince: undefined,
      muted: false
    }
    this.subscriptions = subscriptions
    this.#generation = generation
    this.#now = now
    this.#report = report
  }

  /** Returns how to stop listening. */
  whenDead(listener: (evidence: Evidence.Evidence) => void): () => void {
    if (this.dead === undefined) this.#whenDead = listener
    else listener(this.dead)
    return () => {
      this.#whenDead = undefined
    }
  }

  alive(): number {
    return (this.seen.alive = this.#now())
  }

  observe(evidence: Evidence.Evidence): void {
    if (!this.seen.muted) this.#report.observe(this.#generation, evidence)
  }

  lost(reason: FailureReason, detail?: FailureDetail): void {
    if (this.seen.muted) return
    if (this.dead === undefined) {
      this.dead = Evidence.transportFailure(reason, detail)
      this.#whenDead?.(this.dead)
    }
    this.#report.lost(this.#generation, reason, detail)
  }

  output(last: () => ReadonlyArray<string>): void {
    this.#report.output(last)
  }

  notice(notice: Notice, count = 1): void {
    if (!this.seen.muted) this.#report.notice(notice, count)
  }
}

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
  { deadlines: { now }, deep, policy }: Pick<Options<unknown, unknown, unknown>, "deadlines" | "deep" | "policy">
): Effect.fn.Return<void, Conclusion> {
  if (!deep && !Probe.isProbed(policy.probe, session)) return
  const startedAt = now()
  const { asked, verdict } = yield* Probe.ask(session, ladder, policy, deep)
  if (verdict._tag === "Succeeded") return
  return yield* Effect.fail({ verdict, late: isLate(now() - startedAt, policy.timeout, asked) })
})
