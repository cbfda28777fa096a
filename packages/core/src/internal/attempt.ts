/**
 * Opening a session: connect, handshake, `setup`, and one probe that it must pass before callers get it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Connector, EraMemory, Session, SessionHost } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import { type FailureDetail, ofCause } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Notice } from "../KeepaliveEvent.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import type { Kind } from "../Lists.ts"
import * as Probe from "../engine/Probe.ts"
import type { Closings } from "./closings.ts"
import { broken, type Conclusion, isLate } from "./conclusion.ts"
import type { Deadline, Deadlines } from "./deadlines.ts"
import { millisOf } from "./millis.ts"
import { Round } from "./round.ts"
import { Calls, type OpenSession } from "./sessionCell.ts"
import type { Seen } from "./sessionCell.ts"
import * as Table from "./table.ts"
import type { Task } from "./task.ts"
import type * as Tracing from "./tracing.ts"

/** What an attempt needs of its backend. */
export interface Port<Client, R, SetupR> {
  readonly connector: Connector<Client, R>
  readonly policy: KeepalivePolicy
  readonly setup: ((client: Client) => Effect.Effect<unknown, unknown, SetupR>) | undefined
  readonly deadlines: Deadlines
  readonly closings: Closings
  readonly subscriptions: Set<string>
  readonly era: EraMemory
}

/** What is one attempt's own. */
export interface Options<R, SetupR> {
  readonly task: Task<R | SetupR>
  readonly generation: number
  /** whether only the deep probe is evidence */
  readonly deep: boolean
  readonly report: Report
  /** what this attempt is told in, where there are spans */
  readonly trace: Tracing.Trace | undefined
}

/** Who is told what a session sees, by its generation. */
export interface Report {
  readonly doubted: (generation: number, doubt: Evidence.Doubt, reason: FailureReason) => void
  readonly lost: (generation: number, reason: FailureReason, detail?: FailureDetail) => void
  readonly notice: (notice: Notice, count: number) => void
  readonly listChanged: (generation: number, kind: Kind) => void
  /** how to read what the server wrote last */
  readonly output: (last: () => ReadonlyArray<string>) => void
}

/** What came of it: a session, or why there is none. */
export type Outcome<Client> =
  | { readonly open: OpenSession<Client>; readonly conclusion: Conclusion }
  | { readonly open: undefined; readonly conclusion: Conclusion }

/**
 * See the module. It ends once, and then calls `ended`: late once `connectTimeout` has passed, and with nothing where its task was
 * stopped. What it has opened and not given away is closed.
 */
export class Attempt<Client, R, SetupR> {
  readonly #port: Port<Client, R, SetupR>
  readonly #options: Options<R, SetupR>
  readonly #ended: (outcome: Outcome<Client> | undefined) => void
  /** closing it closes the session */
  readonly #scope = Scope.makeUnsafe()
  readonly #host: Host
  #deadline: Deadline | undefined
  /** what it has come to before what runs has ended */
  #ending: Conclusion | undefined
  #hasEnded = false

  constructor(
    port: Port<Client, R, SetupR>,
    options: Options<R, SetupR>,
    ended: (outcome: Outcome<Client> | undefined) => void
  ) {
    this.#port = port
    this.#options = options
    this.#ended = ended
    this.#host = new Host(options.generation, port.deadlines.now, options.report, port)
  }

  begin(): void {
    const { connector, deadlines, policy } = this.#port
    const { task, trace } = this.#options
    // V8 allocates a function that is assigned to a property at once in its old generation, where all that it reaches outlives the attempt
    const dead = (evidence: Evidence.Evidence) => this.#end(concluded(evidence))
    this.#host.whenDead = dead
    const opening = Scope.provide(
      Effect.suspend(() => connector.open(this.#host)),
      this.#scope
    )
    const prepared = this.#isPrepared ? Effect.tap(opening, (session) => prepare(session, this.#port)) : opening
    task.run(trace === undefined ? prepared : trace.within(prepared), (exit) => this.#opened(exit))
    if (this.#hasEnded || task.isStopped) return
    const endsAt = deadlines.now() + millisOf(policy.connectTimeout)
    this.#deadline = deadlines.set(endsAt, () => this.#end(timedOut))
  }

  get #isPrepared(): boolean {
    const { policy, setup } = this.#port
    return setup !== undefined || (typeof policy.probe === "object" && policy.probe.method === "tool")
  }

  #opened(exit: Exit.Exit<Session<Client>, Evidence.Evidence>): void {
    const { deadlines, policy } = this.#port
    const { deep, generation, task, trace } = this.#options
    if (task.isStopped) return this.#finish(undefined, this.#ending)
    if (Exit.isFailure(exit)) {
      const error = Exit.findError(exit)
      return this.#finish(
        undefined,
        Result.isSuccess(error) ? concluded(error.success) : { verdict: broken(exit.cause), late: false }
      )
    }
    const session = exit.value
    const open: OpenSession<Client> = {
      generation,
      session,
      scope: this.#scope,
      ladder: { latched: undefined, silent: 0 },
      seen: this.#host.seen,
      reading: undefined,
      calls: new Calls(),
      tools: Table.empty,
      draining: undefined,
      drainEnds: undefined,
      ended: undefined,
      span: trace?.span,
      stableSince: undefined,
      detail: undefined
    }
    if (!deep && !Probe.isAskedFirst(policy.probe, session)) return this.#finish(open, accepted)
    const startedAt = deadlines.now()
    const round = new Round(this.#port, task, open, trace, (result) => {
      if (result === undefined) return this.#finish(undefined, this.#ending)
      const { asked, verdict } = result
      if (verdict._tag === "Succeeded") return this.#finish(open, accepted)
      this.#finish(undefined, { verdict, late: isLate(deadlines.now() - startedAt, policy.timeout, asked) })
    })
    round.ask(Probe.begin(session, open.ladder, policy, deep))
  }

  /** However long what runs takes to end, it has come to nothing. */
  #end(conclusion: Conclusion): void {
    if (this.#hasEnded || this.#options.task.isStopped) return
    this.#ending = conclusion
    this.#options.task.stop()
  }

  #finish(open: OpenSession<Client> | undefined, conclusion: Conclusion | undefined): void {
    this.#hasEnded = true
    this.#host.whenDead = undefined
    this.#port.deadlines.cancel(this.#deadline)
    if (open === undefined) {
      this.#port.era.legacyUntil = undefined
      this.#host.seen.muted = true
      this.#port.closings.add(Scope.close(this.#scope, Exit.void))
    }
    this.#options.trace?.end(conclusion)
    this.#ended(conclusion && { open, conclusion })
  }
}

const concluded = (evidence: Evidence.Evidence): Conclusion => ({ verdict: Evidence.ofAttempt(evidence), late: false })

const accepted: Conclusion = { verdict: { _tag: "Succeeded" }, late: false }

const timedOut: Conclusion = { verdict: { _tag: "Failed", reason: "timeout", detail: undefined }, late: false }

/** What outlives a session. */
type Remembered = Pick<SessionHost, "subscriptions"> & { readonly era: EraMemory }

/** The backend, as one session sees it. */
class Host implements SessionHost {
  readonly seen: Seen
  readonly #backend: Remembered
  readonly #generation: number
  readonly #now: () => number
  readonly #report: Report
  /** told once what was seen as it died, while it is being opened */
  whenDead: ((evidence: Evidence.Evidence) => void) | undefined

  constructor(generation: number, now: () => number, report: Report, backend: Remembered) {
    const began = now()
    this.seen = {
      alive: began,
      answer: began,
      call: began,
      credentials: Number.NEGATIVE_INFINITY,
      missedSince: undefined,
      muted: false
    }
    this.#backend = backend
    this.#generation = generation
    this.#now = now
    this.#report = report
  }

  get subscriptions(): Set<string> {
    return this.#backend.subscriptions
  }

  get era(): EraMemory {
    return this.#backend.era
  }

  alive(): number {
    return (this.seen.alive = this.#now())
  }

  observe(evidence: Evidence.Evidence): void {
    const found = Evidence.ofStream(evidence)
    if (found === undefined || this.seen.muted) return
    if (found === "lost") return this.lost("session_lost", Evidence.detailOf(evidence))
    this.#report.doubted(this.#generation, found, Evidence.reasonOf(evidence))
  }

  lost(reason: FailureReason, detail?: FailureDetail): void {
    if (this.seen.muted) return
    this.whenDead?.(Evidence.transportFailure(reason, detail))
    this.#report.lost(this.#generation, reason, detail)
  }

  output(last: () => ReadonlyArray<string>): void {
    this.#report.output(last)
  }

  notice(notice: Notice, count = 1): void {
    if (!this.seen.muted) this.#report.notice(notice, count)
  }

  listChanged(kind: Kind): void {
    if (!this.seen.muted) this.#report.listChanged(this.#generation, kind)
  }
}

/** What has to be done on every new session. */
const prepare = Effect.fnUntraced(function* <Client, SetupR>(
  session: Session<Client>,
  { policy, setup }: Pick<Port<Client, never, SetupR>, "policy" | "setup">
) {
  if (setup) {
    // one that throws before it has made an effect has failed as well
    const settingUp = Effect.suspend(() => setup(session.client))
    yield* Effect.catchCause(settingUp, (cause) => Effect.fail(Evidence.transportFailure("setup", ofCause(cause))))
  }
  const method = policy.probe
  if (typeof method !== "object" || method.method !== "tool") return
  const tools = yield* session.list("tools")
  if (tools.every((tool) => tool.name !== method.tool.name)) {
    yield* Effect.fail(Evidence.transportFailure("tool_missing"))
  }
})
