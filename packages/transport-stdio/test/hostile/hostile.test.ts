/**
 * Servers that are hostile or broken, each a process, beside a good one, and the host of both in a process of its own with a
 * heap of 512 MB. Whatever the hostile one does, the host lives, its memory, descriptors and event loop stay within bounds,
 * the calls to the good one succeed meanwhile, and the state of the hostile backend is true.
 */
import { assert, it } from "@effect/vitest"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Plan, Report } from "./scenario.ts"

/** What holds for the host in every scenario. */
const bounds = {
  /** bytes; about 150 MB of it is Node with the modules of a host */
  rss: 400e6,
  /** milliseconds for which the event loop may be held up */
  blocked: 1000,
  descriptors: 100,
  /** milliseconds that a call to the good backend may take */
  other: 2000
}

/** How long a host may take for all of it, in milliseconds. */
const patience = 80_000

const { NODE_COMPILE_CACHE, PATH } = process.env
const program = fileURLToPath(new URL("host.ts", import.meta.url))

const runHost = (plan: Plan): Effect.Effect<Report> =>
  Effect.callback<Report>((resume) => {
    const host = fork(program, [JSON.stringify(plan)], {
      env: { PATH, NODE_COMPILE_CACHE },
      execArgv: ["--max-old-space-size=512"],
      silent: true
    })
    let report: Report | undefined
    let errors = ""
    host.stderr?.setEncoding("utf8").on("data", (part: string) => (errors = (errors + part).slice(-100_000)))
    host.on("message", (message: Report) => (report = message))
    host.once("close", (code, signal) =>
      resume(
        report === undefined
          ? Effect.die(new Error(`the host has not lived: it ended with ${signal ?? code}, ${reasonIn(errors)}`))
          : Effect.succeed(report)
      )
    )
    return Effect.callback<void>((ended) => {
      host.once("exit", () => ended(Effect.void))
      host.kill("SIGKILL")
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.die(new Error(`the host has said nothing for ${patience} ms`))
    })
  )

/** Why Node has ended: V8's word for it, where it is among what was written, without the frames around it. */
const reasonIn = (errors: string): string => /FATAL ERROR: .*/.exec(errors)?.[0] ?? errors.slice(-2000)

/** A test of one scenario. */
const promise = (
  name: string,
  plan: Plan,
  expected: Partial<Report>,
  also: (report: Report) => void = () => {}
): void =>
  it.live(
    name,
    () =>
      Effect.gen(function* () {
        const leftovers = yield* Leftovers.make()
        const report = yield* runHost(plan)
        const seen = JSON.stringify(report)
        console.log(`measured: ${plan.attack}: ${seen}`)
        assert.deepStrictEqual({ ...report, ...expected }, report, seen)
        assert.deepStrictEqual(report.good.failures, [], seen)
        assert.strictEqual(report.good.state, "Connected", seen)
        assert.isAbove(report.good.succeeded, 0, seen)
        assert.isBelow(report.good.slowest, bounds.other, `the slowest call to the good backend: ${seen}`)
        assert.isBelow(report.blocked, bounds.blocked, `the event loop was held up: ${seen}`)
        assert.isBelow(report.rss, bounds.rss, `memory: ${seen}`)
        assert.isBelow(report.descriptors, bounds.descriptors, `descriptors: ${seen}`)
        also(report)
        yield* leftovers.check
      }),
    120_000
  )

const dropped = { state: "Disconnected overflow" }

/** What was written may have run; what was not is told so, since the next attempt is too late for it. */
const settled =
  (count: number) =>
  ({ calls }: Report): void => {
    const { ["OutcomeUnknown overflow"]: unknown = 0, ["SessionUnavailable overflow"]: unsent = 0 } = calls
    assert.isAbove(unknown, 0, JSON.stringify(calls))
    assert.isAbove(unsent, 0, JSON.stringify(calls))
    assert.strictEqual(unknown + unsent, count, JSON.stringify(calls))
  }

promise(
  "2,000 calls of 200 KB to a server that does not read end with its session",
  { attack: "readsNothing", calls: { count: 2000, characters: 200_000 }, until: "Disconnected" },
  { ...dropped, losses: ["left more than 16777216 bytes unread (limits.unwrittenBytes)"] },
  settled(2000)
)

promise(
  "pings without an end of a server that does not read end its session",
  { attack: "pingsAndReadsNothing", until: "Disconnected", watch: 3000 },
  dropped
)

promise(
  "pings, now and then, of a server that does not read end its session as soon as 64 answers wait",
  { attack: "pingsSlowlyAndReadsNothing", until: "Disconnected" },
  { ...dropped, losses: ["left more than 64 answers unread (limits.serverRequests)"] }
)

promise(
  "more than 1,000 pings a second of a server that reads every answer end its session",
  { attack: "pingsTooOften", until: "Disconnected" },
  { ...dropped, losses: ["sent more than 1000 requests within a second (limits.serverRequestsPerSecond)"] }
)

promise(
  "requests for sampling without an end end their session, where nobody answers them",
  { attack: "samples", until: "Disconnected", watch: 3000 },
  { ...dropped, losses: ["has more than 64 requests in hand (limits.serverRequests)"] }
)

promise(
  "requests for sampling without an end end their session, where each is answered",
  { attack: "samples", sampling: "answers", until: "Disconnected", watch: 3000 },
  dropped
)

promise(
  "requests for sampling of 15 MiB each end their session before they fill the host",
  { attack: "samplesMuch", until: "Disconnected", watch: 3000 },
  { ...dropped, losses: ["has requests of more than 33554432 bytes in hand (twice limits.messageBytes)"] }
)

promise(
  "requests for sampling of 15 MiB each that are cancelled at once, and worked on all the same, do so as well",
  { attack: "samplesMuchAndCancels", until: "Disconnected", watch: 3000 },
  { ...dropped, losses: ["has requests of more than 33554432 bytes in hand (twice limits.messageBytes)"] }
)

promise(
  "an answer of 1 MiB in writes of a byte arrives",
  { attack: "writesBytes", within: 50_000 },
  { state: "Connected", calls: { ok: 1 }, losses: [] }
)

promise(
  "an answer of 400,000 arrays one in the other arrives",
  { attack: "nests", calls: { count: 3, characters: 10 } },
  { state: "Connected", calls: { ok: 3 }, losses: [] }
)

promise(
  "answers of more arrays in each other than may be fail their calls, and nothing else",
  { attack: "nestsTooDeep", calls: { count: 3, characters: 10 } },
  { state: "Connected", calls: { CallFailed: 3 }, losses: [] }
)

promise(
  "garbage of 16 MiB a line that looks like the beginning of messages is told, and the answer behind it arrives",
  { attack: "writesGarbage", calls: { count: 2, characters: 10 } },
  { state: "Connected", calls: { ok: 2 }, losses: [], garbage: 6 }
)

promise(
  "answers of 16 MiB of objects fail their calls, and nothing else",
  { attack: "answersContainers", calls: { count: 3, characters: 10 } },
  { state: "Connected", calls: { CallFailed: 3 }, losses: [] }
)

promise(
  "answers of 16 MiB of objects to our own pings are failed probes",
  { attack: "answersPingsWithContainers", until: "Disconnected" },
  dropped
)
