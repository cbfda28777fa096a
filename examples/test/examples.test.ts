/** Each example goes on, as its reader would see, when its server is killed and started again between two turns. */
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Semaphore } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { assert, describe, it } from "vitest"

const folder = join(import.meta.dirname, "../src")
/** what is no program, and the one of several processes, which has a suite of its own */
const others = new Set(["chat.ts", "cluster.ts"])
const programs = readdirSync(folder).filter((name) => name.endsWith(".ts") && !others.has(name))

/** A program that is talked to in lines. */
const talk = (program: string, url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [join(folder, program), url], { stdio: ["pipe", "pipe", "inherit"] })
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      return {
        child,
        say: async (line: string): Promise<string | undefined> => {
          child.stdin.write(`${line}\n`)
          return (await lines.next()).value
        }
      }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** To load them takes a processor, and then they wait. */
const seats = Semaphore.makeUnsafe(2)

describe.concurrent("an example", () => {
  it.each(programs)("%s does not notice that its server died, and ends by itself", (program) =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { child, say } = yield* talk(program, server.url)
      const exited = once(child, "exit")
      assert.strictEqual(yield* Effect.promise(() => say("one")), "Echo: one")
      yield* server.kill
      const second = say("two")
      yield* server.start
      assert.strictEqual(yield* Effect.promise(() => second), "Echo: two")
      child.stdin.end()
      assert.deepStrictEqual(yield* Effect.promise(() => exited), [0, null])
      const messages = (yield* server.executions).map(({ arguments: sent }) => sent)
      assert.deepStrictEqual(messages, [{ message: "one" }, { message: "two" }])
    }).pipe(Effect.scoped, seats.withPermit, Effect.runPromise)
  )
})
