/** The example of a cluster, as two processes: one of them dies, and the other one goes on with its backends. */
import { Database, McpServers, Ports } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { assert, describe, it } from "vitest"

const program = join(import.meta.dirname, "../src/cluster.ts")

const start = (database: string, url: string) =>
  Effect.gen(function* () {
    const address = `127.0.0.1:${yield* Ports.free}`
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [program, address, url], {
          env: { ...process.env, DATABASE_URL: database },
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      (started) => Effect.sync(() => started.kill("SIGKILL"))
    )
    const exited = once(child, "exit")
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    // an owner is said when it changes, which may have been before it is asked for
    let owners = ""
    return {
      address,
      /** Reads to a line that has all of these words, the last one about the owners included. */
      says: (...words: ReadonlyArray<string>) =>
        Effect.promise(async () => {
          const has = (line: string) => words.every((word) => line.includes(word))
          if (has(owners)) return owners
          for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
            const said = String(line.value)
            if (said.includes("is kept by")) owners = said
            if (has(said)) return said
          }
          throw new Error(`it ended without a word of ${words.join()}`)
        }),
      type: (line: string) => Effect.sync(() => void child.stdin.write(`${line}\n`)),
      ends: (signal: NodeJS.Signals) =>
        Effect.promise(() => {
          child.kill(signal)
          return exited
        })
    }
  })

describe("the example of a cluster", () => {
  it("calls its backends wherever they are kept, also after a process has died", () =>
    Effect.gen(function* () {
      const { url: database } = yield* Database.make
      const { url } = yield* McpServers.everything
      const one = yield* start(database, url)
      yield* one.says(`one is kept by ${one.address}`, `two is kept by ${one.address}`)
      const two = yield* start(database, url)
      // each has one, or both are with one of them: with two backends that is chance
      const kept = yield* two.says("one is kept by 127", "two is kept by 127")
      const [dies, survives] = kept.includes(`one is kept by ${one.address}`) ? [one, two] : [two, one]
      for (const process of [one, two]) {
        // or what it says next would be of the time before the other one joined
        yield* process.says(`one is kept by ${dies.address}`)
        yield* process.type("hello")
        assert.include(yield* process.says("hello"), "hello")
      }
      yield* dies.ends("SIGKILL")
      yield* survives.says(`one is kept by ${survives.address}`, `two is kept by ${survives.address}`)
      yield* survives.type("again")
      assert.include(yield* survives.says("again"), "again")
      yield* survives.ends("SIGTERM")
    }).pipe(Effect.scoped, Effect.runPromise))
})
