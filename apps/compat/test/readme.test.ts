/** What the README shows, pasted into a folder in which what it says was installed. */
import { assert, describe, it } from "@effect/vitest"
import { Leftovers, McpServers, Ports, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Schedule, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { inject } from "vitest"
import { blocksBelow } from "./documents.ts"
import { compile, compileTimeout, run } from "./support.ts"

const folders = inject("folders")

describe("the first example", () => {
  it.live("runs as pasted, against the server that it names", () =>
    Effect.gen(function* () {
      const [example] = blocksBelow("## Use").filter(({ language }) => language === "ts")
      assert.isDefined(example)
      const server = yield* McpServers.everything
      // On this machine its port may be somebody else's.
      const code = example.code.replace("http://127.0.0.1:3001/mcp", server.url)
      assert.notStrictEqual(code, example.code)
      yield* Effect.promise(() => writeFile(join(folders.npm, "first.mts"), code))
      const ended = yield* Effect.promise(() => run(process.execPath, ["first.mts"], folders.npm))
      assert.deepStrictEqual(ended, { code: 0, stdout: "[ { type: 'text', text: 'Echo: hi' } ]\n", stderr: "" })
    })
  )
})

describe.each(["npm", "pnpm"] as const)("the whole app, installed by %s", (manager) => {
  const folder = folders[manager]

  it("compiles under the strictest settings, all declarations included", { timeout: compileTimeout }, async () => {
    assert.deepStrictEqual(await compile(folder, ["app.mts"], { skipLibCheck: false }), [])
  })

  it.live("calls both servers, shows them in its metrics, and ends within a second of SIGTERM with nothing left", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const leftovers = yield* Leftovers.make()
      const metricsPort = yield* Ports.free
      const app = yield* started(folder, "app.mts", { SERVER_URL: server.url, METRICS_PORT: String(metricsPort) })

      yield* eventually(() => app.output().includes("[DIR] node_modules"))
      assert.deepStrictEqual(
        (yield* server.executions).map(({ tool }) => tool),
        ["echo"]
      )
      const page = yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text())
      const figures = page.split("\n")
      assert.includeMembers(figures, [
        "vmcp_keepalive_backends 2",
        'vmcp_keepalive_state{backend_id="everything",state="Connected"} 1',
        'vmcp_keepalive_state{backend_id="files",state="Connected"} 1',
        'vmcp_keepalive_call_total{backend_id="everything",outcome="ok"} 1',
        'vmcp_keepalive_call_total{backend_id="files",outcome="ok"} 1'
      ])

      const began = performance.now()
      app.child.kill("SIGTERM")
      yield* Effect.promise(() => app.exited)
      const took = performance.now() - began
      assert.strictEqual(app.child.exitCode, 130, app.output())
      assert.isBelow(took, 1000)
      yield* leftovers.check
      const stats = yield* server.stats
      assert.deepInclude(stats, { sessions: 0, streams: 0, deletes: 1 })
      assert.notMatch(app.output(), /WARN|ERROR/)
    })
  )
})

describe.each(["npm", "pnpm"] as const)("the fleet from a file, installed by %s", (manager) => {
  const folder = folders[manager]
  const path = join(folder, "mcp.json")

  it("compiles under the strictest settings, all declarations included", { timeout: compileTimeout }, async () => {
    assert.deepStrictEqual(await compile(folder, ["fleet.mts"], { skipLibCheck: false }), [])
  })

  it.live("is what the file says while that is edited, and ends within a second of SIGTERM with nothing left", () =>
    Effect.gen(function* () {
      const [example] = blocksBelow("## A fleet from a file").filter(({ language }) => language === "json")
      assert.isDefined(example)
      const server = yield* ScriptedServer.make()
      const content = example.code.replace("http://127.0.0.1:3001/mcp", server.url)
      assert.notStrictEqual(content, example.code)
      yield* Effect.promise(() => writeFile(path, content))
      const leftovers = yield* Leftovers.make()
      const app = yield* started(folder, "fleet.mts", {})
      yield* eventually(() => /everything has \d+ tools/.test(app.output()) && /files has \d+ tools/.test(app.output()))

      yield* Effect.promise(() => writeFile(path, content.replace('"type"', '"tpye"')))
      yield* eventually(() => /ERROR.*mcp\.json:4:\d+ mcpServers\.everything\.tpye/.test(app.output()))
      const { mcpServers } = JSON.parse(content)
      yield* Effect.promise(() =>
        writeFile(path, JSON.stringify({ mcpServers: { everything: mcpServers.everything } }))
      )
      yield* eventually(() => /Removed/.test(app.output()) && /Replaced/.test(app.output()))
      // another policy was put in place, and the session went on through all of it
      assert.strictEqual((yield* server.stats).byRpcMethod["initialize"], 1)

      const began = performance.now()
      app.child.kill("SIGTERM")
      yield* Effect.promise(() => app.exited)
      assert.strictEqual(app.child.exitCode, 130, app.output())
      assert.isBelow(performance.now() - began, 1000)
      yield* leftovers.check
      assert.deepInclude(yield* server.stats, { sessions: 0, streams: 0, deletes: 1 })
    })
  )
})

/** The app while it runs, and what it said so far. */
interface App {
  readonly child: ChildProcess
  readonly exited: Promise<unknown>
  readonly output: () => string
}

const started = (cwd: string, program: string, env: Record<string, string>): Effect.Effect<App, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let output = ""
      const child = spawn(process.execPath, [program], {
        cwd,
        env: { PATH: process.env["PATH"], ...env },
        stdio: ["ignore", "pipe", "pipe"]
      })
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (text: string) => (output += text))
      return { child, exited: once(child, "close"), output: () => output }
    }),
    ({ child, exited }) =>
      Effect.promise(async () => {
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
        await exited
      })
  )

/** Until it is so, for half a minute at most. */
const eventually = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.sync(isSo).pipe(
    Effect.repeat({ until: (so) => so, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("30 seconds"),
    Effect.orDie
  )
