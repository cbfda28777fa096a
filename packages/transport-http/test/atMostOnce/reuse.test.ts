/**
 * Connections that the server ends just when the client may use them again: right after an answer, or some milliseconds
 * later, by FIN, by RST, with and without a word. Whatever meets whatever, each call settles, none is executed twice, and
 * what is said of it is true.
 *
 * `SOAK_SECONDS` makes it longer: `SOAK_SECONDS=60 vitest run test/atMostOnce/reuse.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { ask, hear, start } from "./children.ts"
import type { Ending, Reply } from "./serverProgram.ts"
import { nodeHttp, usersFetch } from "./senders.ts"
import { keep, native, none, type Said } from "./support.ts"

const seconds = Number(process.env["SOAK_SECONDS"] ?? 10)

const isPorts = (reply: Reply) => "ports" in reply
const isCounted = (reply: Reply) => "counted" in reply

const subjects = [
  ["closes at once", native],
  ["closes soon", native],
  ["resets soon", native],
  ["says that it closes", native],
  ["half-closes", native],
  ["closes soon", usersFetch],
  ["closes soon", nodeHttp]
] as const satisfies ReadonlyArray<readonly [Ending, object]>

/** At the same time, to each server. */
const callers = 4

/** How often a call of which that is said may have been executed. */
const truths: Readonly<Record<Said, ReadonlyArray<number>>> = {
  ok: [1],
  OutcomeUnknown: [0, 1],
  SessionUnavailable: [0],
  CallRejected: [0],
  CallFailed: [0],
  "never settled": []
}

describe("a server that ends its connections", () => {
  it.live(
    `for ${seconds} s, while they are used again: no call is executed twice, and what is said of each is true`,
    () =>
      Effect.gen(function* () {
        const servers = yield* start("serverProgram.ts", ["127.0.0.1", ...subjects.map(([ending]) => ending)])
        const { ports } = yield* hear(servers, isPorts)
        const until = performance.now() + seconds * 1000
        const ledgers = yield* Effect.forEach(
          subjects,
          Effect.fnUntraced(function* ([, sender], index) {
            const kept = yield* keep({
              url: `http://127.0.0.1:${ports[index]}/mcp`,
              sender,
              policy: { failureThreshold: 3 }
            })
            const ledger = new Map<string, Said>()
            const caller = Effect.fnUntraced(function* (number: number) {
              for (let nth = 0; performance.now() < until; nth++) {
                const id = `${number}.${nth}`
                ledger.set(id, yield* kept.call(id))
                // as long as the server may take to end the connection
                yield* Effect.sleep(yield* Random.nextBetween(0, 6))
              }
            })
            yield* Effect.forEach(Array.from({ length: callers }), (_, number) => caller(number), {
              concurrency: "unbounded"
            })
            return ledger
          }),
          { concurrency: "unbounded" }
        )
        const { counted } = yield* ask(servers, {}, isCounted)
        const wrong = ledgers.flatMap((ledger, index) => {
          const [ending, { name }] = subjects[index] ?? subjects[0]
          const { ended = 0, executions = {} } = counted[index] ?? {}
          const said = [...ledger.values()]
          const count = (one: Said) => said.filter((each) => each === one).length
          console.log(
            `measured: ${ending}, through ${name}: ${said.length} calls, ${ended} connections ended, ` +
              `${count("OutcomeUnknown")} with unknown outcome, ${said.length - count("ok") - count("OutcomeUnknown")} other errors`
          )
          // else nothing was tried
          assert.isAbove(count("ok"), 0)
          assert.isAbove(ended, 0)
          const untrue = [...ledger].flatMap(([id, said]) => {
            const times = executions[id] ?? 0
            return truths[said].includes(times) ? [] : [`${ending}, ${name}, ${id}: ${said}, executed ${times}`]
          })
          const strangers = Object.keys(executions).filter((id) => !ledger.has(id))
          return [...untrue, ...strangers.map((id) => `${ending}, ${name}, ${id}: executed, and nobody called`)]
        })
        none(wrong)
      }).pipe(Effect.scoped),
    (seconds + 60) * 1000
  )
})
