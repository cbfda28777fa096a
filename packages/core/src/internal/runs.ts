/**
 * The one attempt or probe of a backend that is running: begun and ended as the table says, which is told what it has come to.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { Action } from "../engine/Action.ts"
import type { Connector } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import { type FailureDetail, ofCause } from "../FailureDetail.ts"
import type { Happening } from "../KeepaliveEvent.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import * as Probe from "../engine/Probe.ts"
import type { Signal } from "../engine/Signal.ts"
import * as Attempt from "./attempt.ts"
import type { Closings } from "./closings.ts"
import { type Conclusion, isLate, signalOf } from "./conclusion.ts"
import type { Deadlines } from "./deadlines.ts"
import { timeoutOrElse } from "./ending.ts"
import * as Refresh from "./refresh.ts"
import type { OpenSession } from "./sessionCell.ts"
import type { Sessions } from "./sessions.ts"
import * as Tracing from "./tracing.ts"

/** What runs need of their backend. */
export interface Port<Client, R, SetupR> {
  readonly id: string
  readonly policy: KeepalivePolicy
  readonly connector: Connector<Client, R>
  readonly setup: ((client: Client) => Effect.Effect<unknown, unknown, SetupR>) | undefined
  readonly sessions: Sessions<Client>
  /** kept across sessions */
  readonly subscriptions: Set<string>
  readonly deadlines: Deadlines
  readonly closings: Closings
  readonly fork: <A, E>(effect: Effect.Effect<A, E, R | SetupR>) => Fiber.Fiber<A, E>
  readonly send: (signal: Signal) => void
  readonly emit: (happening: Happening) => void
}

type Run = Extract<Action, { _tag: "Run" }>

/** See the module. */
export class Runs<Client, R, SetupR> implements Attempt.Report {
  readonly #port: Port<Client, R, SetupR>
  /** the number of what runs, and its fiber, while it waits for something */
  #run: number | undefined
  #running: Fiber.Fiber<unknown> | undefined
  #attemptEndsAt: number | undefined
  #output: () => ReadonlyArray<string> = nothing

  constructor(port: Port<Client, R, SetupR>) {
    this.#port = port
  }

  /** when the attempt that runs has ended at the latest, in monotonic milliseconds */
  get attemptEndsAt(): number | undefined {
    return this.#attemptEndsAt
  }

  /** In place of what runs. `generation`: of the session that an attempt opens. */
  start(action: Run, generation: number): void {
    this.stop()
    this.#run = action.run
    if (action.kind === "probe" || action.kind === "deepProbe") return this.#probe(action)
    // However it ends, the table is told: where it waits for an end that never comes, nothing is kept alive.
    this.#fork(action, this.#attempt(action, generation), (exit) => {
      if (Exit.isFailure(exit)) this.#conclude(action.run, concluded(broken(exit.cause)))
    })
  }

  /** Ends what runs, and what it has opened and nobody will adopt. Its end is awaited as that of a session is. */
  stop(): void {
    const running = this.#running
    this.#run = undefined
    this.#running = undefined
    if (running !== undefined) this.#end(running)
    this.#port.sessions.abandon()
    this.#attemptEndsAt = undefined
  }

  #end(fiber: Fiber.Fiber<unknown>): void {
    fiber.interruptUnsafe()
    if (fiber.pollUnsafe() === undefined) this.#port.closings.add(Fiber.await(fiber))
  }

  /** Runs it, unless what runs is stopped meanwhile: then its end is nobody's. */
  #fork<A>(
    { run }: Run,
    effect: Effect.Effect<A, never, R | SetupR>,
    ended: (exit: Exit.Exit<A>) => void
  ): Fiber.Fiber<A> {
    const fiber = this.#port.fork(effect)
    if (fiber.pollUnsafe() === undefined) {
      if (this.#run === run) this.#running = fiber
      // what it did as it began has stopped it
      else this.#end(fiber)
    }
    fiber.addObserver((exit) => {
      if (this.#running === fiber) this.#running = undefined
      if (this.#run === run) ended(exit)
    })
    return fiber
  }

  // ------------------------------------------------------------------------------------------------------- attempts

  #attempt(action: Run, generation: number): Effect.Effect<void, never, R | SetupR> {
    const port = this.#port
    const { closings, connector, deadlines, id, policy, sessions } = port
    return Effect.gen({ self: this }, function* () {
      this.#attemptEndsAt = deadlines.now() + Duration.toMillis(policy.connectTimeout)
      // Servers that keep one session only accept no other until the old one is gone. An exclusive transport never has two,
      // however long the end of the old one takes, which it bounds itself.
      yield* connector.exclusive
        ? closings.ended()
        : timeoutOrElse(closings.ended(), policy.connectTimeout, Effect.void)
      const startedAt = deadlines.now()
      this.#attemptEndsAt = startedAt + Duration.toMillis(policy.connectTimeout)
      this.#output = nothing
      const about = { backend_id: id, generation }
      const { late: wasLate, verdict } = yield* Tracing.run(policy, "connect", about, (span) =>
        this.#open(action, generation, span)
      )
      const took = deadlines.now() - startedAt
      const late = verdict._tag === "Failed" && (wasLate || isLate(took, policy.connectTimeout))
      if (verdict._tag === "Succeeded") {
        port.emit({ _tag: "AttemptSucceeded", generation, duration: Duration.millis(took) })
      } else if (!late) {
        const told = withOutput(verdict.detail, this.#output())
        if (sessions.current === undefined) sessions.detail = told
        const reason = Evidence.reasonOfVerdict(verdict)
        port.emit({ _tag: "AttemptFailed", reason, detail: told?.summary, duration: Duration.millis(took) })
      }
      this.#output = nothing
      this.#attemptEndsAt = undefined
      this.#conclude(action.run, { verdict, late })
    })
  }

  #open(
    { deep }: Run,
    generation: number,
    span: Tracer.Span | undefined
  ): Effect.Effect<Conclusion, never, R | SetupR> {
    const { closings, connector, deadlines, policy, sessions, setup, subscriptions } = this.#port
    const scope = Scope.makeUnsafe()
    return Attempt.open({
      connector,
      policy,
      setup,
      generation,
      deep,
      scope,
      deadlines,
      subscriptions,
      report: this,
      span
    }).pipe(
      Effect.match({
        onFailure: (conclusion) => conclusion,
        onSuccess: (open) => {
          sessions.candidate = open
          return concluded(succeeded)
        }
      }),
      Effect.catchCause((cause) => Effect.succeed(concluded(broken(cause)))),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit) && exit.value.verdict._tag === "Succeeded") return
          closings.add(Scope.close(scope, Exit.void))
        })
      )
    )
  }

  observe(generation: number, evidence: Evidence.Evidence): void {
    const doubt = Evidence.ofStream(evidence)
    if (doubt) this.#port.send({ _tag: "Doubt", generation, doubt, reason: Evidence.reasonOf(evidence) })
  }

  lost(generation: number, reason: Evidence.TransportFailure["reason"], detail?: FailureDetail): void {
    this.#port.sessions.lost(generation, reason, detail)
    this.#port.send({ _tag: "Lost", generation, reason })
  }

  notice(notice: Extract<Happening, { _tag: "Noticed" }>["notice"], count: number): void {
    this.#port.emit({ _tag: "Noticed", notice, count })
  }

  output(last: () => ReadonlyArray<string>): void {
    this.#output = last
  }

  // --------------------------------------------------------------------------------------------------------- probes

  #probe(action: Run): void {
    const { deadlines, id, policy, sessions } = this.#port
    const open = sessions.current
    if (!open) return
    if (action.refresh) {
      const reading = Refresh.differs(open, deadlines.now, policy.timeout)
      const bounded = timeoutOrElse(reading, policy.timeout, Effect.succeed(false))
      this.#fork(action, bounded, () => this.#probe({ ...action, refresh: false }))
      return
    }
    const question = Probe.begin(open.session, open.ladder, policy, action.kind === "deepProbe")
    const method = question.rung._tag
    if (action.counted) this.#port.emit({ _tag: "ProbeSent", method })
    const startedAt = deadlines.now()
    const ended = (result: Probe.ProbeResult) => this.#probed(action, open, startedAt, result)
    if (!policy.spans) return this.#ask(action, open, question, ended)
    const asking = Tracing.run(policy, "probe", { backend_id: id, method }, (span) => {
      Tracing.link(span, open)
      return Effect.catchCause(Probe.ask(open.session, open.ladder, policy, question.deep), (cause) =>
        Effect.succeed(brokenBy(question, cause))
      )
    })
    this.#fork(action, asking, (exit) => ended(Exit.isSuccess(exit) ? exit.value : brokenBy(question, exit.cause)))
  }

  /** As {@link Probe.ask}, in one fiber: this is what many backends do most. */
  #ask(
    action: Run,
    open: OpenSession<Client>,
    question: Probe.Question,
    ended: (result: Probe.ProbeResult) => void
  ): void {
    const { deadlines, policy } = this.#port
    const taken = (evidence: Evidence.Evidence) => {
      const next = Probe.take(open.ladder, policy, question, evidence)
      if (next === undefined) ended(Probe.resultOf(question, evidence))
      else this.#ask(action, open, next, ended)
    }
    let isSilent = false
    const fiber = this.#fork(action, open.session.probe(question.rung), (exit) => {
      if (isSilent) taken(Probe.silence)
      else if (Exit.isSuccess(exit)) taken(exit.value)
      else ended(brokenBy(question, exit.cause))
    })
    if (fiber.pollUnsafe() !== undefined) return
    const deadline = deadlines.set(deadlines.now() + Duration.toMillis(policy.timeout), () => {
      isSilent = true
      fiber.interruptUnsafe()
    })
    // also where it is stopped, so that its end is nobody's
    fiber.addObserver(() => deadlines.cancel(deadline))
  }

  #probed(
    action: Run,
    open: OpenSession<Client>,
    startedAt: number,
    { asked, method, verdict }: Probe.ProbeResult
  ): void {
    const port = this.#port
    const { deadlines, policy } = port
    const endedAt = deadlines.now()
    const late = verdict._tag === "Failed" && isLate(endedAt - startedAt, policy.timeout, asked)
    if (verdict._tag === "Succeeded") open.seen.answer = endedAt
    else open.seen.missedSince ??= startedAt
    if (!late) open.detail = Evidence.detailOfVerdict(verdict)
    if (action.counted && verdict._tag === "Succeeded") {
      port.emit({ _tag: "ProbeSucceeded", method, latency: Duration.millis(endedAt - startedAt) })
    } else if (action.counted && verdict._tag !== "Busy" && !late) {
      const reason = Evidence.reasonOfVerdict(verdict)
      port.emit({ _tag: "ProbeFailed", method, reason, detail: open.detail?.summary })
    }
    this.#conclude(action.run, { verdict, late })
  }

  #conclude(run: number, { late, verdict }: Conclusion): void {
    const { deadlines, policy, sessions } = this.#port
    const { areDraining: draining, candidate, current } = sessions
    const probed = candidate === undefined || Probe.isProbed(policy.probe, candidate.session)
    this.#port.send(signalOf(verdict, { run, current, at: deadlines.now(), late, probed, draining }))
  }
}

const nothing = (): ReadonlyArray<string> => []

/** What there is to say of an attempt that failed: what was seen and, unless that says it, what the server wrote last. */
const withOutput = (detail: FailureDetail | undefined, output: ReadonlyArray<string>): FailureDetail | undefined =>
  output.length === 0 || (detail && detail.output.length > 0) ? detail : { summary: detail?.summary, output }

const brokenBy = ({ isFallback, rung }: Probe.Question, cause: Cause.Cause<unknown>): Probe.ProbeResult => ({
  asked: isFallback ? 2 : 1,
  method: rung._tag,
  verdict: broken(cause)
})

const concluded = (verdict: Evidence.Verdict): Conclusion => ({ verdict, late: false })
const succeeded: Evidence.Verdict = { _tag: "Succeeded" }
/** A transport, or code of the user's that it runs, has thrown: a defect of theirs must not end the keeping alive. */
const broken = (cause: Cause.Cause<unknown>): Evidence.Verdict => ({
  _tag: "Failed",
  reason: "unknown",
  detail: ofCause(cause)
})
