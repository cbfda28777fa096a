/**
 * Exports at an interval, and once more when the scope closes.
 *
 * Effect's `OtlpExporter` is not used for it (ADR 5): it waits for a silent collector and for any `Retry-After` without a bound,
 * after a failure it rests for a minute and drops the last export, it has the whole address in its log lines, and it has one body
 * for all series.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as OtlpResource from "effect/observability/OtlpResource"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Random from "effect/Random"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import * as OtlpData from "./otlpData.ts"
import { type Body, type Post, PostError } from "./post.ts"
import * as Recorder from "./recorder.ts"
import * as Snapshot from "./snapshot.ts"

export interface Options {
  readonly post: Post
  readonly resource: OtlpResource.Resource
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
  readonly flushTimeout: Duration.Duration
  readonly compression: "gzip" | "none"
  /** data points in one message, so that writing it does not stop the process for long */
  readonly messageSize: number
}

/** How often a message is sent again, at most. */
const mostRetries = 3

/** Before a message is sent again for the first time; each further time it is twice as long, and up to half longer by chance. */
const firstRest = Duration.seconds(1)

/** However long a collector wants to be left alone. */
const longestRest = Duration.minutes(10)

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

  /** Sends again as long as that is before the next export, which has newer figures. */
  const deliver = Effect.fnUntraced(function* (body: Body) {
    const began = now(clock)
    for (let tries = 0; ; tries++) {
      const sent = yield* Effect.result(within(post(body), options.timeout))
      if (sent._tag === "Success") return sent.success
      const { after } = sent.failure
      if (after === undefined || tries === mostRetries) return yield* Effect.fail(sent.failure)
      const jitter = 1 + (yield* Random.next) / 2
      const rest = Duration.max(after, Duration.times(firstRest, 2 ** tries * jitter))
      if (now(clock) + Duration.toMillis(rest) - began >= Duration.toMillis(options.interval)) {
        return yield* Effect.fail(sent.failure)
      }
      yield* Effect.sleep(rest)
    }
  })

  const send = Effect.gen(function* () {
    const at = clock.currentTimeNanosUnsafe()
    const families = read()
    let rejected = 0
    beginnings.look(families, at)
    for (const message of OtlpData.messages(families, { resource, beginnings, at: String(at), size: messageSize })) {
      const written = serialization.metrics(message)
      if (written._tag !== "Uint8Array") continue
      const plain: Body = { contentType: written.contentType, bytes: written.body }
      const answer = yield* deliver(options.compression === "gzip" ? yield* compressed(plain) : plain)
      rejected += OtlpData.rejectedPoints(answer)
    }
    // the figures are cumulative, so that sending them again would change nothing
    if (rejected > 0) return yield* Effect.fail(new PostError(`rejected data points: ${rejected}`))
  })

  /** Says once that exports fail, and once that they do not any more. Succeeds with how long to rest at least. */
  const reporting = (effect: Effect.Effect<void, PostError>): Effect.Effect<Duration.Duration> =>
    Effect.matchEffect(effect, {
      onFailure: ({ after = Duration.zero, reason }) =>
        Effect.as(
          failed++ > 0 ? Effect.void : Effect.annotateLogs(Effect.logWarning("metrics are not exported"), { reason }),
          Duration.min(after, longestRest)
        ),
      onSuccess: () => {
        const missed = failed
        failed = 0
        return Effect.as(
          missed === 0
            ? Effect.void
            : Effect.annotateLogs(Effect.logInfo("metrics are exported again"), { failed: missed }),
          Duration.zero
        )
      }
    })

  // added before the loop starts, so that it runs when the loop has ended: also while a collector wants to be left alone, since
  // there is no later time
  yield* Effect.addFinalizer(() => reporting(within(send, options.flushTimeout)))
  yield* Effect.gen(function* () {
    for (let rest = options.interval; ;) {
      yield* Effect.sleep(rest)
      rest = Duration.max(options.interval, yield* reporting(send))
    }
  }).pipe(Effect.forkScoped)
})

const now = (clock: Clock.Clock) => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

const compress = promisify(gzip)
const compressed = ({ bytes, contentType }: Body): Effect.Effect<Body> =>
  Effect.map(
    Effect.promise(() => compress(bytes)),
    (bytes) => ({ contentType, contentEncoding: "gzip", bytes })
  )

const within = <A>(effect: Effect.Effect<A, PostError>, duration: Duration.Duration) =>
  Effect.timeoutOrElse(effect, { duration, orElse: () => Effect.fail(new PostError("timeout")) })
