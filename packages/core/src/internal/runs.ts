/**
 * The one attempt or probe of a backend that is running: begun as the table says, once the limits of all backends allow it, and
 * ended; the table is told what it has come to.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Action } from "../engine/Action.ts"
import * as Evidence from "../Evidence.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Happening } from "../KeepaliveEvent.ts"
import type { Kind } from "../Lists.ts"
import * as Probe from "../engine/Probe.ts"
import type { Signal } from "../engine/Signal.ts"
import * as Attempt from "./attempt.ts"
import * as ClockWatcher from "./clockWatcher.ts"
import { type Conclusion, isLate, signalOf } from "./conclusion.ts"
import { timeoutOrElse } from "./ending.ts"
import { millisOf } from "./millis.ts"
import { type Pacers, Start } from "./pacer.ts"
import * as Refresh from "./refresh.ts"
import { Round } from "./round.ts"
import type { OpenSession } from "./sessionCell.ts"
import type { Sessions } from "./sessions.ts"
import { Task, type Port as TaskPort } from "./task.ts"
import * as Tracing from "./tracing.ts"

/** What runs need of their backend. */
export interface Port<Client, R, SetupR>
  extends Attempt.Port<Client, R, SetupR>, TaskPort<R | SetupR>, Pick<Tracing.Port, "clock"> {
  readonly id: string
  readonly sessions: Sessions<Client>
  readonly pacers: Pacers
  readonly send: (signal: Signal) => void
  readonly emit: (happening: Happening) => void
  /** whether anybody is told what is emitted */
  readonly isHeard: boolean
}

type Run = Extract<Action, { _tag: "Run" }>

/** See the module. */
export class Runs<Client, R, SetupR> implements Attempt.Report {
  readonly #port: Port<Client, R, SetupR>
  /** while it runs */
  #task: Task<R | SetupR> | undefined
  /** its permit, or its place in the queue */
  #start: Start | undefined
  #attemptEndsAt: number | undefined
  #output: () => ReadonlyArray<string> = nothing

  constructor(port: Port<Client, R, SetupR>) {
    this.#port = port
  }

  /** when the attempt that runs has ended at the latest, in monotonic milliseconds */
  get attemptEndsAt(): number | undefined {
    return this.#start?.isWaiting && this.#attemptEndsAt !== undefined ? this.#latestEnd : this.#attemptEndsAt
  }

  /** of an attempt that began now */
  get #latestEnd(): number {
    const { deadlines, policy } = this.#port
    return deadlines.now() + millisOf(policy.connectTimeout)
  }

  /** In place of what runs. `generation`: of the session that an attempt opens. */
  start(action: Run, generation: number): void {
    this.stop()
    const task = new Task(this.#port)
    this.#task = task
    if (action.kind === "attempt") this.#attempt(action, generation, task)
    else if (action.refresh) this.#refresh(action, task)
    else this.#whenPermitted("probe", () => this.#probe(action, task))
  }

  /** No time of what begins then has run before: neither the one that bounds it nor the one that it is told to have taken. */
  #whenPermitted(kind: "attempt" | "probe", begin: () => void): void {
    const { connector, pacers } = this.#port
    // known before it enters: it may end within
    this.#start =
      kind === "attempt"
        ? new Start(pacers.attempts, connector.origin, begin)
        : new Start(pacers.probes, undefined, begin)
    this.#start.enter()
  }

  /** Another may begin in its place. */
  #release(): void {
    const start = this.#start
    this.#start = undefined
    start?.leave()
  }

  /** Ends what runs, and what it has opened and nobody will adopt. */
  stop(): void {
    const task = this.#task
    this.#task = undefined
    task?.stop()
    this.#release()
    this.#port.sessions.abandon()
    this.#attemptEndsAt = undefined
  }

  // ------------------------------------------------------------------------------------------------------- attempts

  #attempt(action: Run, generation: number, task: Task<R | SetupR>): void {
    const { closings, connector, policy } = this.#port
    this.#attemptEndsAt = this.#latestEnd
    const open = () => this.#whenPermitted("attempt", () => this.#open(action, generation, task))
    if (closings.areOver) return open()
    // Servers that keep one session only accept no other until the old one is gone. An exclusive transport never has two,
    // however long the end of the old one takes, which it bounds itself.
    const ended = connector.exclusive
      ? closings.ended()
      : timeoutOrElse(closings.ended(), policy.connectTimeout, Effect.void)
    task.run(ended, () => {
      if (!task.isStopped) open()
    })
  }

  #open({ deep, run }: Run, generation: number, task: Task<R | SetupR>): void {
    const port = this.#port
    const startedAt = port.deadlines.now()
    this.#attemptEndsAt = this.#latestEnd
    this.#output = nothing
    const trace = Tracing.begin(port, "connect", { backend_id: port.id, generation })
    // However it ends, the table is told: where it waits for an end that never comes, nothing is kept alive.
    const attempt = new Attempt.Attempt(port, { task, generation, deep, report: this, trace }, (outcome) => {
      if (outcome === undefined || this.#task !== task) return
      this.#attempted(run, generation, startedAt, outcome)
    })
    attempt.begin()
  }

  #attempted(run: number, generation: number, startedAt: number, outcome: Attempt.Outcome<Client>): void {
    const port = this.#port
    const { deadlines, policy, sessions } = port
    const { verdict } = outcome.conclusion
    const took = deadlines.now() - startedAt
    const late = verdict._tag === "Failed" && (outcome.conclusion.late || isLate(took, policy.connectTimeout))
    if (outcome.open !== undefined) {
      sessions.candidate = outcome.open
      if (port.isHeard) port.emit({ _tag: "AttemptSucceeded", generation, duration: Duration.millis(took) })
    } else if (!late) {
      const told = withOutput(Evidence.detailOfVerdict(verdict), this.#output())
      if (sessions.current === undefined) sessions.detail = told
      const reason = Evidence.reasonOfVerdict(verdict)
      port.emit({ _tag: "AttemptFailed", reason, detail: told?.summary, duration: Duration.millis(took) })
    }
    this.#output = nothing
    this.#attemptEndsAt = undefined
    this.#conclude(run, { verdict, late })
  }

  doubted(generation: number, doubt: Evidence.Doubt, reason: FailureReason): void {
    this.#port.send({ _tag: "Doubt", generation, doubt, reason })
  }

  lost(generation: number, reason: FailureReason, detail?: FailureDetail): void {
    this.#port.sessions.lost(generation, reason, detail)
    this.#port.send({ _tag: "Lost", generation, reason })
  }

  notice(notice: Extract<Happening, { _tag: "Noticed" }>["notice"], count: number): void {
    this.#port.emit({ _tag: "Noticed", notice, count })
  }

  listChanged(generation: number, kind: Kind): void {
    this.#port.sessions.listChanged(generation, kind)
  }

  output(last: () => ReadonlyArray<string>): void {
    this.#output = last
  }

  // --------------------------------------------------------------------------------------------------------- probes

  /** Reads the credentials again first. */
  #refresh(action: Run, task: Task<R | SetupR>): void {
    const { deadlines, policy, sessions } = this.#port
    const open = sessions.current
    if (!open) return
    const reading = Refresh.differs(open, deadlines.now, policy.timeout)
    task.run(timeoutOrElse(reading, policy.timeout, Effect.succeed(false)), () => {
      if (!task.isStopped) this.#whenPermitted("probe", () => this.#probe(action, task))
    })
  }

  #probe(action: Run, task: Task<R | SetupR>): void {
    const port = this.#port
    const { deadlines, policy, sessions } = port
    const open = sessions.current
    if (!open) return
    const question = Probe.begin(open.session, open.ladder, policy, action.kind === "deepProbe")
    const method = question.rung._tag
    if (action.counted && port.isHeard) port.emit({ _tag: "ProbeSent", method })
    const startedAt = deadlines.now()
    const trace = Tracing.begin(port, "probe", { backend_id: port.id, method })
    Tracing.link(trace?.span, open)
    const round = new Round(port, task, open, trace, (result) => {
      trace?.end(result)
      if (result !== undefined && this.#task === task) this.#probed(action, open, startedAt, result)
    })
    round.ask(question)
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
    if (action.counted && port.isHeard) {
      if (verdict._tag === "Succeeded") {
        port.emit({ _tag: "ProbeSucceeded", method, latency: Duration.millis(endedAt - startedAt) })
      } else if (verdict._tag !== "Busy" && !late) {
        const reason = Evidence.reasonOfVerdict(verdict)
        port.emit({ _tag: "ProbeFailed", method, reason, detail: open.detail?.summary })
      }
    }
    this.#conclude(action.run, { verdict, late })
  }

  #conclude(run: number, { late, verdict }: Conclusion): void {
    this.#task = undefined
    this.#release()
    const { clock, deadlines, policy, sessions } = this.#port
    // who has slept may meet a timer before the next comparison of the clocks
    if (verdict._tag === "Failed") ClockWatcher.look(clock)
    const { areDraining: draining, candidate, current } = sessions
    const opened = candidate ?? current
    const attention = opened === undefined ? "never" : Probe.attentionOf(policy.probe, opened.session)
    this.#port.send(signalOf(verdict, { run, current, at: deadlines.now(), late, attention, draining }))
  }
}

const nothing = (): ReadonlyArray<string> => []

/** What there is to say of an attempt that failed: what was seen and, unless that says it, what the server wrote last. */
const withOutput = (detail: FailureDetail | undefined, output: ReadonlyArray<string>): FailureDetail | undefined =>
  output.length === 0 || (detail && detail.output.length > 0) ? detail : { summary: detail?.summary, output }
