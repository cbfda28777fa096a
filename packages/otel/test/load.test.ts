/** The metrics page under everything at once that may reach it, each side in a process of its own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import * as http from "node:http"
import { text } from "node:stream/consumers"

const backends = 5000
const seconds = 6
/** Megabytes. */
const allowed = 100

const Url = Schema.decodeUnknownSync(Schema.Struct({ url: Schema.String }))
const Size = Schema.decodeUnknownSync(Schema.Struct({ megabytes: Schema.Number }))
const Opened = Schema.decodeUnknownSync(
  Schema.Struct({ readers: Schema.Number, halves: Schema.Number, pipelines: Schema.Number })
)

const start = (name: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      fork(new URL(`programs/${name}.ts`, import.meta.url), args, { execArgv: ["--expose-gc", "--no-warnings"] })
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, "exit")
        child.kill("SIGKILL")
        await ended
      })
  )

/** The next thing that a process says; fails if it ends before. */
const said = (child: ChildProcess) =>
  Effect.callback<unknown, Error>((resume) => {
    child.once("message", (message) => resume(Effect.succeed(message)))
    child.once("exit", (code) => resume(Effect.fail(new Error(`it ended with ${code}`))))
  })

/** How long processes have waited for a core, in seconds: others need them too. */
const waited = (...processes: ReadonlyArray<Pick<ChildProcess, "pid">>) =>
  processes.reduce((sum, { pid }) => sum + Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]), 0) /
  1e9

/** Reads the page to its end. */
const read = async (url: string) => {
  const [response]: ReadonlyArray<unknown> = await once(http.get(url, { agent: false }), "response")
  assert(response instanceof http.IncomingMessage)
  return { status: response.statusCode, text: await text(response) }
}

describe("5,000 backends, 300 readers that do not read, 1,500 half requests, and 5,000 on one connection", () => {
  it.live(
    "cost the metrics page less than 100 MB, and one who reads it has all of it within 2 seconds",
    () =>
      Effect.gen(function* () {
        const host = yield* start("host", `${backends}`, `${allowed}`)
        const { url } = Url(yield* said(host))
        const most = Effect.suspend(() => {
          host.send("measure")
          return Effect.map(said(host), (answer) => Size(answer).megabytes)
        })
        // What it needs for one who reads the page is not counted: neither the page, nor what V8 has not collected of those before.
        for (let page = 0; page < 60; page++) yield* Effect.promise(() => read(url))
        yield* most
        const before = yield* most
        const load = yield* start("load", url, `${seconds}`)
        yield* said(load)
        const over = yield* Effect.forkChild(said(load))
        const times: Array<number> = []
        while (load.connected) {
          const begun = performance.now() / 1000 - waited(host, process)
          const { status, text } = yield* Effect.promise(() => read(url))
          times.push(performance.now() / 1000 - waited(host, process) - begun)
          assert.strictEqual(status, 200)
          assert.strictEqual(text.split('state="Connected"} 1\n').length - 1, backends)
        }
        const opened = Opened(yield* Fiber.join(over))
        const more = (yield* most) - before
        const slowest = Math.max(...times)
        const seen = JSON.stringify({ before, more, slowest, scrapes: times.length, ...opened })
        assert.isAtMost(more, allowed, seen)
        assert.isBelow(slowest, 2, seen)
        assert.isAtLeast(opened.readers, 300)
        assert.isAtLeast(opened.halves, 1500)
        assert.isAtLeast(opened.pipelines, 1)
      }).pipe(Effect.scoped),
    120_000
  )
})
