/**
 * Exports at an interval, and once more when the scope closes.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as OtlpResource from "effect/observability/OtlpResource"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Metric from "effect/Metric"
import * as OtlpData from "./otlpData.ts"
import { type Post, PostError } from "./post.ts"
import * as Recorder from "./recorder.ts"
import * as Snapshot from "./snapshot.ts"

export interface Options {
  readonly post: Post
  readonly resource: OtlpResource.Resource
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
  readonly flushTimeout: Duration.Duration
  /** data points in one message, so that writing it does not stop the process for long */
  readonly messageSize: number
}

export const run = Effect.fnUntraced(function* (options: Options) {
  const { messageSize, post, resource } = options
  const clock = yield* Clock.Clock
  const serialization = yield* OtlpSerialization.OtlpSerialization
  const read = yield* Snapshot.reader
  // what was counted before this exporter was made is exported too
  const beginnings = OtlpData.beginnings(
    Recorder.startOf(yield* Metric.MetricRegistry) ?? clock.currentTimeNanosUnsafe()
  )
  let failed = 0

  const send = Effect.gen(function* () {
    const at = clock.currentTimeNanosUnsafe()
    const families = read()
    let rejected = 0
    beginnings.look(families, at)
    for (const message of OtlpData.messages(families, { resource, beginnings, at: String(at), size: messageSize })) {
      const body = serialization.metrics(message)
      if (body._tag !== "Uint8Array") continue
      const answer = yield* within(post({ contentType: body.contentType, bytes: body.body }), options.timeout)
      rejected += OtlpData.rejectedPoints(answer)
    }
    // the figures are cumulative, so that sending them again would change nothing
    if (rejected > 0) return yield* Effect.fail(new PostError(`rejected data points: ${rejected}`))
  })

  /** Says once that exports fail, and once that they do not any more. */
  const reporting = (effect: Effect.Effect<void, PostError>) =>
    Effect.matchEffect(effect, {
      onFailure: ({ reason }) =>
        failed++ > 0 ? Effect.void : Effect.annotateLogs(Effect.logWarning("metrics are not exported"), { reason }),
      onSuccess: () => {
        const missed = failed
        failed = 0
        return missed === 0
          ? Effect.void
          : Effect.annotateLogs(Effect.logInfo("metrics are exported again"), { failed: missed })
      }
    })

  // added before the loop starts, so that it runs when the loop has ended
  yield* Effect.addFinalizer(() => reporting(within(send, options.flushTimeout)))
  yield* Effect.sleep(options.interval).pipe(Effect.andThen(reporting(send)), Effect.forever, Effect.forkScoped)
})

const within = <A>(effect: Effect.Effect<A, PostError>, duration: Duration.Duration) =>
  Effect.timeoutOrElse(effect, { duration, orElse: () => Effect.fail(new PostError("timeout")) })
