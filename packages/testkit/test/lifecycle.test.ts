import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Fault, FaultProxy, Leftovers, McpServers, ScriptedServer } from "../src/index.ts"
import { call, open, rpc } from "./client.ts"
import { http, line, rpc as rpcText, target } from "./target.ts"
import { temporary } from "./temporary.ts"

/** What `fetch` keeps: its pool of idle connections, and the timers of that. */
const ignore = ["TCPSocketWrap", "Timeout"]

describe("after the scope", () => {
  it.live("nothing is left of a proxy with faults in force and connections open", () =>
    Effect.gen(function* () {
      const backend = yield* target
      const leftovers = yield* Leftovers.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const proxy = yield* FaultProxy.make({ target: backend })
          const client = yield* line(proxy.port)
          client.send(http("GET", "/sse"))
          yield* client.until("event-stream")
          yield* proxy.inject(Fault.IdleCut({ after: "1 hour" }))
          yield* proxy.inject(Fault.Delay({ each: "1 hour" }))
          backend.emit("held")
          yield* proxy.struck
          const dropped = yield* line(proxy.port)
          dropped.send(http("GET", "/hang"))
          yield* proxy.inject(Fault.SilentDrop())
          yield* proxy.awaitRequest(({ path }) => path === "/hang")
          assert.isNotEmpty(yield* leftovers.list)
        })
      )
      yield* leftovers.check
    })
  )

  it.live("nothing is left of a connection that was half-closed and then reset, whichever faults did it", () =>
    Effect.gen(function* () {
      const backend = yield* target
      for (const second of [Fault.Reset(), Fault.Refuse()]) {
        const leftovers = yield* Leftovers.make()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const proxy = yield* FaultProxy.make({ target: backend })
            const idle = yield* line(proxy.port)
            idle.send(http("POST", "/a", rpcText("ping")))
            yield* idle.until('"ping"')
            const streaming = yield* line(proxy.port)
            streaming.send(http("GET", "/sse"))
            yield* streaming.until("event-stream")
            yield* proxy.inject(Fault.HalfClose())
            yield* proxy.inject(second)
          })
        )
        yield* leftovers.check
      }
    })
  )

  it.live("nothing is left of gateways and what they started, not even in process groups of its own", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make({ ignore })
      const files = temporary()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const servers = yield* Effect.all([
            McpServers.supergateway({ backend: "small" }),
            McpServers.mcpProxy({ backend: "small" }),
            ScriptedServer.make()
          ])
          for (const server of servers) yield* open(server.url)
          yield* servers[1].freeze
          const found = (yield* leftovers.list).filter((one) => one.startsWith("process"))
          assert.isAtLeast(found.length, 5)
        })
      )
      yield* leftovers.check
      assert.deepStrictEqual(temporary(), files)
    })
  )

  it.live("nothing is left of a start that was interrupted", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make({ ignore })
      const files = temporary()
      const starting = yield* Effect.forkChild(Effect.scoped(McpServers.supergateway()))
      yield* leftovers.list.pipe(
        Effect.repeat({ until: (found) => found.length > 0, schedule: Schedule.spaced("2 millis") })
      )
      yield* Fiber.interrupt(starting)
      yield* leftovers.check
      assert.deepStrictEqual(temporary(), files)
    })
  )

  it.live("Leftovers names what was left", () =>
    Effect.gen(function* () {
      const impatient = yield* Leftovers.make({ within: "50 millis" })
      const leftovers = yield* Leftovers.make()
      // The shell dies and leaves its child to somebody else.
      const shell = spawn("sh", ["-c", "sleep 60 & echo $!"], { detached: true, stdio: ["ignore", "pipe", "ignore"] })
      const orphan = yield* Effect.callback<number>((resume) => {
        shell.stdout.once("data", (text: Buffer) => resume(Effect.succeed(Number(text.toString()))))
      })
      // several: a timer of the runner's that was there before may be gone by now
      const timers = [1, 2, 3].map(() => setTimeout(() => {}, 60_000))
      const error = yield* Effect.flip(impatient.check)
      // until it has become `sleep`, the child still goes by the name of its shell
      assert.match(error.message, new RegExp(`process ${orphan} .*sleep 60.*Timeout`))
      for (const timer of timers) clearTimeout(timer)
      process.kill(orphan, "SIGKILL")
      yield* leftovers.check
    })
  )

  it.live("Leftovers names what a process that was started left in turn, without its environment", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make()
      const script = `
        import { Effect } from "effect"
        import { spawn } from "node:child_process"
        import { StdioServers } from ${JSON.stringify(new URL("../src/index.ts", import.meta.url).href)}
        const { args } = await Effect.runPromise(Effect.scoped(StdioServers.scripted()))
        const options = { detached: true, env: { PATH: process.env.PATH }, stdio: "ignore" }
        spawn("sh", ["-c", "sleep 60; true", ...args], options).unref()`
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        cwd: new URL("..", import.meta.url).pathname,
        stdio: ["ignore", "ignore", "inherit"]
      })
      yield* Effect.callback<void>((resume) => void child.on("close", () => resume(Effect.void)))
      const found = (yield* leftovers.list).find((one) => /^process .*sleep 60/.test(one))
      assert.isDefined(found)
      process.kill(-Number(found?.split(" ")[1]), "SIGKILL")
      yield* leftovers.check
    })
  )

  it.live("process.exit without closing the scope leaves no server behind", () =>
    Effect.gen(function* () {
      const script = `
        import { Effect, Exit, Scope } from "effect"
        import { McpServers } from ${JSON.stringify(new URL("../src/index.ts", import.meta.url).href)}
        const scope = Scope.makeUnsafe()
        const server = await Effect.runPromise(Scope.provide(McpServers.mcpProxy({ backend: "small" }), scope))
        console.log(process.env.VMCP_TESTKIT_WATCH, server.port)
        process.exit(0)`
      const leftovers = yield* Leftovers.make({ ignore })
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-exit-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        cwd: new URL("..", import.meta.url).pathname,
        env: { ...process.env, TMPDIR: directory },
        stdio: ["ignore", "pipe", "inherit"]
      })
      const printed = yield* Effect.callback<string>((resume) => {
        let text = ""
        child.stdout.on("data", (part: Buffer) => (text += part.toString()))
        child.on("close", () => resume(Effect.succeed(text)))
      })
      assert.match(printed, /^\d+ \d+\n$/)
      yield* leftovers.check
      assert.deepStrictEqual(readdirSync(directory), [])
    })
  )
})

describe("while it runs", () => {
  it.live("a frozen server accepts and does not answer, a thawed one does", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { session } = yield* open(server.url)
      yield* server.freeze
      const pending = yield* Effect.forkChild(rpc(server.url, session, "ping"))
      yield* line(server.port)
      assert.isUndefined(pending.pollUnsafe())
      yield* server.thaw
      assert.isDefined((yield* Fiber.join(pending)).message.result)
    })
  )

  it.live("executions survive SIGKILL in the middle of a call", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { session } = yield* open(server.url)
      const pending = yield* Effect.forkChild(Effect.exit(call(server.url, session, server.slow(30))))
      yield* server.executions.pipe(
        Effect.repeat({ until: (done) => done.length === 1, schedule: Schedule.spaced("10 millis") })
      )
      yield* server.kill
      assert.isTrue(Exit.isFailure(yield* Fiber.join(pending)))
      assert.deepStrictEqual(yield* server.executions, [
        { tool: server.slow(30).name, arguments: server.slow(30).arguments }
      ])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(rpc(server.url, session, "ping"))))
    })
  )

  it.live("a server that cannot start says what it printed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(McpServers.mcpProxy({ sessionIdleTimeout: "-1 seconds" }))
      assert.strictEqual(error.reason, "exited")
      assert.include(error.output, "sessionIdleTimeout")
    })
  )
})

describe("a gateway whose stdio server was killed", () => {
  it.live("mcp-proxy is a zombie: it answers ping, fails tools/list, and only a restart heals it", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.mcpProxy({ backend: "small" })
      const { session } = yield* open(server.url)
      yield* server.killBackend
      assert.isDefined((yield* rpc(server.url, session, "ping")).message.result)
      assert.strictEqual((yield* rpc(server.url, session, "tools/list")).message.error?.code, -32603)
      const second = yield* open(server.url)
      assert.strictEqual(second.answer.status, 200)
      assert.isDefined((yield* rpc(server.url, second.session, "ping")).message.result)
      assert.strictEqual((yield* rpc(server.url, second.session, "tools/list")).message.error?.code, -32603)
      yield* server.restart
      const healed = yield* open(server.url)
      assert.isDefined((yield* rpc(server.url, healed.session, "tools/list")).message.result)
    })
  )

  it.live("supergateway forgets that session, and a new one gets a new stdio server", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.supergateway({ backend: "small" })
      const { session } = yield* open(server.url)
      yield* server.killBackend
      yield* rpc(server.url, session, "ping").pipe(
        Effect.repeat({ until: ({ status }) => status === 404, schedule: Schedule.spaced("10 millis") })
      )
      const healed = yield* open(server.url)
      assert.isDefined((yield* rpc(server.url, healed.session, "tools/list")).message.result)
    })
  )
})
