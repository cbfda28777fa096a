/** Ports of servers that are started by tests: no two processes are given the same, nor one twice in a row. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { createServer } from "node:net"
import { promisify } from "node:util"
import { Ports } from "../src/index.ts"

const blockOf = (port: number) => Math.floor(port / 100)

describe("a port", () => {
  it.live("is of a block that no other process has, and below those of outgoing connections", () =>
    Effect.gen(function* () {
      const own = yield* Ports.free
      const module = new URL("../dist/Ports.js", import.meta.url).href
      const program = `import { free } from ${JSON.stringify(module)}
        import * as Effect from "effect/Effect"
        console.log(await Effect.runPromise(free))`
      const others = yield* Effect.promise(() =>
        Promise.all(
          [1, 2, 3].map(() =>
            promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { cwd: import.meta.dirname })
          )
        )
      )
      const all = [own, ...others.map(({ stdout }) => Number(stdout))]
      for (const port of all) assert.isBelow(port, 32_768)
      assert.strictEqual(blockOf(own) === blockOf(all[1]!), false)
    })
  )

  it.live("comes again only after all others of its block, and not while somebody listens there", () =>
    Effect.gen(function* () {
      const first = yield* Ports.free
      const server = createServer()
      yield* Effect.callback<void>((resume) => void server.listen(first, "127.0.0.1", () => resume(Effect.void)))
      const more = yield* Effect.all(Array.from({ length: 150 }, () => Ports.free))
      yield* Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
      assert.strictEqual(new Set(more.slice(0, 98)).size, 98)
      assert.notInclude(more, first)
    })
  )
})
