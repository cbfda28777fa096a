/**
 * Nothing is left of a session that died: a server that is killed and started again 200 times leaves the process that
 * holds the backend as it was.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, fork, type ForkOptions } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Command, Measure, Reply } from "./messages.ts"

const cycles = 200
/** until then caches fill and functions are compiled for the first time */
const warm = 100

/** Without what V8's compilers add and drop on their own account: some 5 KB a cycle until cycle 600. */
const quietHeap = ["--expose-gc", "--no-opt", "--no-maglev", "--no-sparkplug", "--no-flush-bytecode"]

const source = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Compiled once: taking the types off costs as much as starting Node. */
const serverScript = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-leak-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  ),
  (directory) => {
    const script = join(directory, "server.mjs")
    writeFileSync(script, stripTypeScriptTypes(readFileSync(source("server.ts"), "utf8")))
    return script
  }
)

/** The next message of a child; dies with it. */
const hear = <Message>(child: ChildProcess): Effect.Effect<Message> =>
  Effect.callback((resume) => {
    const onMessage = (message: Message) => settle(Effect.succeed(message))
    const onExit = (code: number | null, signal: string | null) => settle(Effect.die(`ended with ${signal ?? code}`))
    const off = () => {
      child.off("message", onMessage)
      child.off("exit", onExit)
    }
    const settle = (result: Effect.Effect<Message>) => {
      off()
      resume(result)
    }
    child.on("message", onMessage)
    child.on("exit", onExit)
    return Effect.sync(off)
  })

const kill = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

const start = (script: string, args: ReadonlyArray<string>, options: ForkOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => fork(script, args, { env: { PATH: process.env["PATH"] }, execArgv: [], ...options })),
    kill
  )

/** A server that can be killed and started again on its port. */
const startServer = Effect.gen(function* () {
  const script = yield* serverScript
  let child = yield* start(script, ["0"])
  const port = yield* hear<number>(child)
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    kill: Effect.suspend(() => kill(child)),
    start: Effect.gen(function* () {
      child = yield* start(script, [String(port)])
      yield* hear<number>(child)
    })
  }
})

/** The process that holds the backend. */
const startSubject = Effect.fnUntraced(function* (url: string) {
  const child = yield* start(source("subject.ts"), [url, String(warm)], { execArgv: quietHeap })
  const expect = <Tag extends Reply["_tag"]>(tag: Tag) =>
    Effect.flatMap(hear<Reply>(child), (reply) => (isOf(reply, tag) ? Effect.succeed(reply) : Effect.die(reply)))
  yield* expect("Ready")
  return <Tag extends Reply["_tag"]>(command: Command, tag: Tag) =>
    Effect.suspend(() => {
      child.send(command)
      return expect(tag)
    })
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
        const server = yield* startServer
        const ask = yield* startSubject(server.url)
        const measures: Array<Measure> = []
        for (let cycle = 1; cycle <= cycles; cycle++) {
          yield* ask({ _tag: "Prepare", cycle }, "Prepared")
          yield* server.kill
          const { outcome } = yield* ask({ _tag: "Notice", cycle }, "Noticed")
          assert.strictEqual(outcome, cycle % 2 === 1 ? "OutcomeUnknown" : "idle")
          yield* server.start
          const { measure } = yield* ask({ _tag: "Recover", cycle }, "Recovered")
          if (measure !== undefined) measures.push(measure)
        }
        const [first] = measures
        assert(first !== undefined)
        assert.strictEqual(measures.length, cycles - warm + 1)
        for (const { clients, handlers, progressHandlers, resources } of measures) {
          assert.deepStrictEqual(resources, first.resources)
          assert.deepStrictEqual(
            { clients, handlers, progressHandlers },
            { clients: 1, handlers: 0, progressHandlers: 0 }
          )
        }
        assert.isBelow(slope(measures.map(({ heapUsed }) => heapUsed)), 1024)
      }),
    240_000
  )
})
