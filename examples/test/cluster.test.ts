/** The example of a cluster, as two processes: one of them dies, and the other one goes on with its backends. */
import { Database, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { assert, describe, it } from "vitest"

const program = join(import.meta.dirname, "../src/cluster.ts")

const freeAddress = Effect.promise(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
})

const start = (database: string, url: string) =>
  Effect.gen(function* () {
    const address = yield* freeAddress
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
    return {
      address,
      /** Reads to a line that has all of these words. */
      says: (...words: ReadonlyArray<string>) =>
        Effect.promise(async () => {
          for (let line = await lines.next(); line.done !== true; line = await lines.next())
            if (words.every((word) => String(line.value).includes(word))) return String(line.value)
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
      // each has its part, or both are where they were: with two backends that is chance
      yield* two.says("one is kept by 127", "two is kept by 127")
      for (const process of [one, two]) {
        yield* process.type("hello")
        assert.include(yield* process.says("hello"), "hello")
      }
      yield* one.ends("SIGKILL")
      yield* two.says(`one is kept by ${two.address}`, `two is kept by ${two.address}`)
      yield* two.type("again")
      assert.include(yield* two.says("again"), "again")
      yield* two.ends("SIGTERM")
    }).pipe(Effect.scoped, Effect.runPromise))
})
