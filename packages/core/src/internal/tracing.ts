/**
 * Spans of attempts, probes and calls, made only where the policy asks for them. A failure is told by its reason alone: what
 * a server or a callback said of it is in no span.
 */
import type * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { reasonOfVerdict } from "../Evidence.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import { isCallError } from "./errors.ts"
import type { Conclusion } from "./conclusion.ts"
import type { OpenSession } from "./sessionCell.ts"

/** How a span says that something failed: exporters take name and message. */
class Failed extends Data.TaggedError("KeepaliveFailure")<{ readonly message: string }> {}

type Attributes = Readonly<Record<string, string | number>>

/** An attempt or a probe that is told in a span of its own. */
export interface Trace {
  readonly span: Tracer.Span
  /** Makes it the span of what runs. */
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** It has come to that, or was interrupted. */
  readonly end: (conclusion: Pick<Conclusion, "verdict"> | undefined) => void
}

/** What a span needs to begin and to end. */
export interface Port {
  readonly policy: Pick<KeepalivePolicy, "spans">
  readonly clock: Clock.Clock
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
}

/** Begins a span where the policy asks for them. */
export const begin = (
  { clock, fork, policy }: Port,
  name: "connect" | "probe",
  attributes: Attributes
): Trace | undefined => {
  if (!policy.spans) return undefined
  // whoever made the backend is no part of what it does later
  const made = fork(make(name, { attributes, root: true })).pollUnsafe()
  if (made === undefined || Exit.isFailure(made)) return undefined
  const span = made.value
  return {
    span,
    within: Effect.withParentSpan(span),
    end: (conclusion) =>
      span.end(
        clock.currentTimeNanosUnsafe(),
        conclusion === undefined ? Exit.interrupt() : ended(failureOf(conclusion))
      )
  }
}

const make = (name: string, options: Tracer.SpanOptionsNoTrace) =>
  Effect.makeSpan(`vmcp_keepalive.${name}`, { kind: "client", ...options })

const ended = (failure: string | undefined) =>
  failure === undefined ? Exit.void : Exit.fail(new Failed({ message: failure }))

const failureOf = ({ verdict }: Pick<Conclusion, "verdict">) =>
  verdict._tag === "Succeeded" ? undefined : reasonOfVerdict(verdict)

/** A call, in a span below its caller's, which ends with it: interrupted, or failed with a word. */
export const call = <A, E, R>(backend: string, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(make("call", { attributes: { backend_id: backend } }), (span) =>
    call.pipe(
      Effect.withParentSpan(span),
      Effect.onExit((exit) =>
        Effect.map(
          Effect.clockWith((clock) => clock.currentTimeNanos),
          (now) => span.end(now, Exit.hasInterrupts(exit) ? Exit.interrupt() : ended(wordOfExit(exit)))
        )
      )
    )
  )

const wordOfExit = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isSuccess(exit)
    ? undefined
    : Option.match(Exit.findErrorOption(exit), { onNone: () => "unknown", onSome: wordOf })

/** What an effect of the user's fails with is told as a failure of the call, and in no word of its own. */
const wordOf = (error: unknown) => {
  if (!isCallError(error)) return "CallFailed"
  return "reason" in error && error.reason !== undefined ? `${error._tag} (${error.reason})` : error._tag
}

/** Says in a span on which session it was: links it to the attempt that opened that. */
export const link = (span: Tracer.AnySpan | undefined, open: OpenSession<unknown>): void => {
  if (span?._tag !== "Span") return
  span.attribute("generation", open.generation)
  if (open.span !== undefined) span.addLinks([{ span: open.span, attributes: {} }])
}
