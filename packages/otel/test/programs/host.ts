/**
 * A process with the metrics page of many backends, each with all its series. Says where the page is, and on `measure` what
 * the process needs; the next `measure` says what it needed at most since then. More than it may need is needed only where it is when V8 has
 * collected what is not.
 */
import { type KeepaliveEvent } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { KeepaliveMetrics } from "../../src/index.ts"
import * as On from "../support.ts"

const everything: ReadonlyArray<KeepaliveEvent.Happening> = [
  On.sent,
  On.answered("3 millis"),
  On.missed("timeout"),
  On.suppressed,
  On.opened("reset"),
  On.connected(),
  On.sessionClosed("reset"),
  On.refused(),
  ...On.outcomes.flatMap((outcome) => [On.callBegan, On.called(outcome)]),
  On.changed("Connecting", "Connected")
]

/** How many megabytes more it may need from one `measure` to the next. */
const allowed = Number(process.argv[3])
const megabytes = () => process.memoryUsage.rss() / 1024 / 1024

const program = Effect.gen(function* () {
  const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
  const tell = yield* On.tell
  for (let id = 0; id < Number(process.argv[2]); id++) tell(`backend-${id}`, ...everything)
  global.gc?.()
  let before = Infinity
  let most = megabytes()
  let isCollected = false
  setInterval(() => {
    const now = megabytes()
    const isTooMuch = now > before + allowed
    // what is collected is given back soon after that: it is looked at the next time
    if (isTooMuch && !isCollected) global.gc?.()
    else most = Math.max(most, now)
    isCollected = isTooMuch && !isCollected
  }, 20)
  process.on("message", () => {
    process.send?.({ megabytes: most })
    before = most = megabytes()
  })
  process.send?.({ url })
  return yield* Effect.never
})

process.on("disconnect", () => process.exit())
Effect.runFork(program.pipe(Effect.provide(KeepaliveMetrics.layerPrometheus({ port: 0 }))))
