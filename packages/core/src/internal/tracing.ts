/**
 * Spans of attempts, probes and calls, made only where the policy asks for them. A failure is told by its reason alone: what
 * a server or a callback said of it is in no span.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
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

/** An attempt or a probe, in a span of its own where the policy asks for it. */
export const run = <A extends Pick<Conclusion, "verdict">, E, R>(
  { spans }: Pick<KeepalivePolicy, "spans">,
  name: "connect" | "probe",
  attributes: Attributes,
  run: (span: Tracer.Span | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  spans
    ? // whoever made the backend is no part of what it does later
      within(name, { attributes, root: true }, run, (exit) =>
        Exit.isSuccess(exit) ? failureOf(exit.value) : "unknown"
      )
    : run(undefined)

const failureOf = ({ verdict }: Pick<Conclusion, "verdict">) =>
  verdict._tag === "Succeeded" ? undefined : reasonOfVerdict(verdict)

/** A call, in a span below its caller's. */
export const call = <A, E, R>(backend: string, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  within(
    "call",
    { attributes: { backend_id: backend } },
    () => call,
    (exit) =>
      Exit.isSuccess(exit)
        ? undefined
        : Option.match(Exit.findErrorOption(exit), { onNone: () => "unknown", onSome: wordOf })
  )

/** What an effect of the user's fails with is told as a failure of the call, and in no word of its own. */
const wordOf = (error: unknown) => {
  if (!isCallError(error)) return "CallFailed"
  return "reason" in error && error.reason !== undefined ? `${error._tag} (${error.reason})` : error._tag
}

/** Runs it in a span, which ends with it: interrupted, or failed with that word. */
const within = <A, E, R>(
  name: string,
  options: Tracer.SpanOptionsNoTrace,
  run: (span: Tracer.Span) => Effect.Effect<A, E, R>,
  failureOf: (exit: Exit.Exit<A, E>) => string | undefined
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.makeSpan(`vmcp_keepalive.${name}`, { kind: "client", ...options }), (span) =>
    run(span).pipe(
      Effect.withParentSpan(span),
      Effect.onExit((exit) =>
        Effect.map(
          Effect.clockWith((clock) => clock.currentTimeNanos),
          (now) => {
            const failure = failureOf(exit)
            if (Exit.hasInterrupts(exit)) span.end(now, Exit.interrupt())
            else span.end(now, failure === undefined ? Exit.void : Exit.fail(new Failed({ message: failure })))
          }
        )
      )
    )
  )

/** Says in a span on which session it was: links it to the attempt that opened that. */
export const link = (span: Tracer.AnySpan | undefined, open: OpenSession<unknown>): void => {
  if (span?._tag !== "Span") return
  span.attribute("generation", open.generation)
  if (open.span !== undefined) span.addLinks([{ span: open.span, attributes: {} }])
}
