/**
 * One round of questions to a session, each within the policy's `timeout`: one, or a second where the ladder asks the configured
 * tool as well. A fiber for each, because this is what many backends do most.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Session } from "../Connector.ts"
import * as Probe from "../engine/Probe.ts"
import type * as Evidence from "../Evidence.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import { broken } from "./conclusion.ts"
import type { Deadline, Deadlines } from "./deadlines.ts"
import { millisOf } from "./millis.ts"
import type { Task } from "./task.ts"
import type * as Tracing from "./tracing.ts"

/** What a round needs of its backend. */
export interface Port {
  readonly deadlines: Deadlines
  readonly policy: Pick<KeepalivePolicy, "probe" | "timeout" | "fallbackAfter">
}

/** What is asked, and where it stands. */
export interface Asked {
  readonly session: Session<unknown>
  readonly ladder: Probe.Ladder
}

/** See the module. It ends once, and then calls `ended`: with nothing where its task was stopped. */
export class Round {
  readonly #port: Port
  readonly #task: Task<never>
  readonly #asked: Asked
  /** the span that the questions are asked in, where there are spans */
  readonly #trace: Tracing.Trace | undefined
  readonly #ended: (result: Probe.ProbeResult | undefined) => void
  #deadline: Deadline | undefined
  #isSilent = false

  constructor(
    port: Port,
    task: Task<never>,
    asked: Asked,
    trace: Tracing.Trace | undefined,
    ended: (result: Probe.ProbeResult | undefined) => void
  ) {
    this.#port = port
    this.#task = task
    this.#asked = asked
    this.#trace = trace
    this.#ended = ended
  }

  ask(question: Probe.Question): void {
    const { deadlines, policy } = this.#port
    const task = this.#task
    this.#isSilent = false
    const probe = probing(this.#asked.session, question)
    task.run(this.#trace === undefined ? probe : this.#trace.within(probe), (exit) => this.#answered(question, exit))
    if (!task.isRunning || task.isStopped || this.#deadline !== undefined) return
    this.#deadline = deadlines.set(deadlines.now() + millisOf(policy.timeout), () => {
      this.#deadline = undefined
      this.#isSilent = true
      task.interrupt()
    })
  }

  #answered(question: Probe.Question, exit: Exit.Exit<Evidence.Evidence>): void {
    const { deadlines, policy } = this.#port
    deadlines.cancel(this.#deadline)
    this.#deadline = undefined
    if (this.#task.isStopped) return this.#ended(undefined)
    if (!this.#isSilent && Exit.isFailure(exit)) return this.#ended(brokenBy(question, exit.cause))
    const evidence = this.#isSilent || Exit.isFailure(exit) ? Probe.silence : exit.value
    const next = Probe.take(this.#asked.ladder, policy, question, evidence)
    if (next === undefined) this.#ended(Probe.resultOf(question, evidence))
    else this.ask(next)
  }
}

/** A transport that throws as it is asked is as one whose probe dies. */
const probing = (session: Session<unknown>, { rung }: Probe.Question): Effect.Effect<Evidence.Evidence> => {
  try {
    return session.probe(rung)
  } catch (defect) {
    return Effect.die(defect)
  }
}

const brokenBy = ({ isFallback, rung }: Probe.Question, cause: Cause.Cause<unknown>): Probe.ProbeResult => ({
  asked: isFallback ? 2 : 1,
  method: rung._tag,
  verdict: broken(cause)
})
