/**
 * Nothing is left of a session that died: a server that is killed and started again 200 times leaves the process that
 * holds the backend as it was.
 */
import { assert, describe, it } from "@effect/vitest"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Command, Measure, Reply } from "./messages.ts"

const cycles = 200
/** until then caches fill and functions are compiled */
const warm = 100

/** The measured process. */
const startSubject = (url: string) =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        fork(fileURLToPath(new URL("subject.ts", import.meta.url)), [url, String(warm)], {
          execArgv: ["--expose-gc"],
          env: { PATH: process.env["PATH"] }
        })
      ),
      (child) =>
        Effect.callback<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        })
    )
    const hear = <Tag extends Reply["_tag"]>(tag: Tag) =>
      Effect.callback<Extract<Reply, { readonly _tag: Tag }>>((resume) => {
        const onMessage = (reply: Reply) => {
          off()
          resume(isOf(reply, tag) ? Effect.succeed(reply) : Effect.die(reply))
        }
        const onExit = (code: number | null) => {
          off()
          resume(Effect.die(`the subject ended with ${code}`))
        }
        const off = () => {
          child.off("message", onMessage)
          child.off("exit", onExit)
        }
        child.on("message", onMessage)
        child.on("exit", onExit)
        return Effect.sync(off)
      })
    yield* hear("Ready")
    return {
      ask: <Tag extends Reply["_tag"]>(command: Command, tag: Tag) =>
        Effect.suspend(() => {
          child.send(command)
          return hear(tag)
        })
    }
  })

const isOf = <Tag extends Reply["_tag"]>(reply: Reply, tag: Tag): reply is Extract<Reply, { readonly _tag: Tag }> =>
  reply._tag === tag

/** Of the least squares line through values that are one apart. */
const slope = (values: ReadonlyArray<number>): number => {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let above = 0
  let below = 0
  for (const [index, value] of values.entries()) {
    above += (index - middle) * (value - mean)
    below += (index - middle) ** 2
  }
  return above / below
}

describe("a server that is killed and restarted 200 times", () => {
  it.live(
    "leaves handlers, sockets and timers unchanged from cycle 100 to 200, and the heap's slope under 1 KB a cycle",
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const subject = yield* startSubject(server.url)
        const measures: Array<Measure> = []
        for (let cycle = 1; cycle <= cycles; cycle++) {
          yield* subject.ask({ _tag: "Prepare", cycle }, "Prepared")
          yield* server.kill
          const { outcome } = yield* subject.ask({ _tag: "Notice", cycle }, "Noticed")
          assert.strictEqual(outcome, cycle % 2 === 1 ? "OutcomeUnknown" : "idle")
          yield* server.start
          const { measure } = yield* subject.ask({ _tag: "Recover", cycle }, "Recovered")
          if (measure !== undefined) measures.push(measure)
        }
        console.log(measures.map((m) => JSON.stringify(m)).join("\n"))
        console.log(slope(measures.map(({ heapUsed }) => heapUsed)))
      }),
    240_000
  )
})
