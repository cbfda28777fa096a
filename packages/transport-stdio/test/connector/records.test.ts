/** What becomes of single requests, and what of them is written to the child. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { CreateMessageRequestSchema, LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Cause, Effect, Exit, Fiber } from "effect"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Peer, StdioPeerConnector } from "../../src/peer.ts"
import {
  call,
  collectStderr,
  connectorOf,
  eventually,
  eventuallyEffect,
  makeHost,
  measured,
  memory,
  open,
  promise
} from "./support.ts"

const { scripted } = StdioServers

/** More than the pipe and what stands before it take. */
const big = { name: "echo", arguments: { message: "x".repeat(5_000_000) } }

/** A server behind a `tee`, so that every message that reaches it can be read. */
const overheard = Effect.fnUntraced(function* <Server extends StdioServers.StdioServer>(server: Server) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-overheard-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  const log = join(directory, "stdin")
  const messages = () => readFileSync(log, "utf8").trimEnd().split("\n")
  return {
    server: { ...server, command: "sh", args: ["-c", 'tee "$0" | "$@"', log, server.command, ...server.args] },
    heard: (method: string) => messages().filter((line) => line.includes(`"method":"${method}"`)).length
  }
})

const handlersOf = (client: object): number => {
  const handlers: unknown = Reflect.get(client, "_responseHandlers")
  return handlers instanceof Map ? handlers.size : Number.NaN
}

promise("a request is dispatched as soon as it is written, and answered once its answer came", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { session } = yield* open(connectorOf(server))
    const { client, requests } = session.call()
    const slow = client.callTool(server.slow(0.3))
    const written = { method: "tools/call", tool: "slow", fate: "dispatched", evidence: undefined }
    expect(requests).toMatchObject([written])
    yield* eventuallyEffect(Effect.map(server.executions, ({ length }) => length === 1))
    expect(requests).toMatchObject([written])
    yield* Effect.promise(() => slow)
    expect(requests).toMatchObject([{ fate: "answered", evidence: { _tag: "Answered" } }])
    const unknown = yield* call(session, { name: "no such tool" })
    expect(unknown.requests).toMatchObject([{ fate: "answered", evidence: { _tag: "ErrorAnswer", code: -32602 } }])
    expect((yield* session.list("tools")).map(({ name }) => name)).toContain("echo")
  })
)

promise("a request behind a full pipe of a frozen server is unsent, and is sent when the server goes on", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { group, session } = yield* open(connectorOf(server))
    ProcessGroups.signal(group, "SIGSTOP")
    const first = session.call()
    const second = session.call()
    const answers = Promise.all([first.client.callTool(big), second.client.callTool(server.echo("second"))])
    yield* eventually(() => first.requests[0]?.fate === "dispatched")
    // Nothing can tell that nothing happens: as long as a death may take to be told.
    yield* Effect.sleep("50 millis")
    expect(second.requests).toMatchObject([{ fate: "unsent", evidence: undefined }])
    ProcessGroups.signal(group, "SIGCONT")
    const [, echoed] = yield* Effect.promise(() => answers)
    expect(JSON.stringify(echoed)).toContain("second")
    expect(second.requests).toMatchObject([{ fate: "answered" }])
  })
)

for (const who of ["its session", "somebody's closing of the client"]) {
  promise(`a request that was unsent when ${who} ended it is never sent`, () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const { close, group, session } = yield* open(connectorOf(server, { shutdown: { end: "20 seconds" } }))
      ProcessGroups.signal(group, "SIGSTOP")
      const first = session.call()
      const second = session.call()
      const answers = Promise.allSettled([first.client.callTool(big), second.client.callTool(server.echo("second"))])
      yield* eventually(() => first.requests[0]?.fate === "dispatched")
      if (who !== "its session") yield* Effect.promise(() => session.client.close())
      // The core replays what is unsent at this moment, while the old server may still go on.
      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      expect(second.requests).toMatchObject([{ fate: "unsent" }])
      ProcessGroups.signal(group, "SIGCONT")
      yield* Fiber.join(closing)
      // What is under way the server may finish; a client that was closed hears nothing of it.
      const [one, other] = yield* Effect.promise(() => answers)
      expect(one.status).toBe(who === "its session" ? "fulfilled" : "rejected")
      expect(other.status).toBe("rejected")
      expect(second.requests).toMatchObject([{ fate: "unsent", evidence: { reason: "closed" } }])
      expect((yield* server.executions).map(({ arguments: args }) => args)).toEqual([big.arguments])
    })
  )
}

promise("a request that its caller gave up before it was written is never sent", () =>
  Effect.gen(function* () {
    const { heard, server } = yield* overheard(yield* scripted())
    const { group, session } = yield* open(connectorOf(server))
    ProcessGroups.signal(-group, "SIGSTOP")
    const first = yield* Effect.forkChild(call(session, big), { startImmediately: true })
    const { client, requests } = session.call()
    const abort = new AbortController()
    const second = client.callTool(server.echo("second"), undefined, { signal: abort.signal })
    abort.abort()
    expect(Exit.isFailure(yield* Effect.exit(Effect.tryPromise(() => second)))).toBe(true)
    ProcessGroups.signal(-group, "SIGCONT")
    expect((yield* Fiber.join(first)).requests).toMatchObject([{ fate: "answered" }])
    expect((yield* call(session, server.echo("third"))).text).toContain("third")
    expect(requests).toMatchObject([{ fate: "unsent", evidence: undefined }])
    expect((yield* server.executions).length).toBe(2)
    expect(heard("tools/call")).toBe(2)
  })
)

promise("a call that its caller gives up is cancelled at the server, also by its own deadline", () =>
  Effect.gen(function* () {
    const { heard, server } = yield* overheard(yield* scripted())
    const { session } = yield* open(connectorOf(server))
    const slow = server.slow(1)
    const { client, requests } = session.call()
    const abort = new AbortController()
    const aborted = client.callTool(slow, undefined, { signal: abort.signal })
    yield* eventuallyEffect(Effect.map(server.executions, ({ length }) => length === 1))
    abort.abort()
    const late = client.callTool(slow, undefined, { timeout: 100 })
    for (const made of [aborted, late])
      expect(Exit.isFailure(yield* Effect.exit(Effect.tryPromise(() => made)))).toBe(true)
    // Neither says anything about the server.
    expect(requests).toMatchObject([
      { fate: "dispatched", evidence: undefined },
      { fate: "dispatched", evidence: undefined }
    ])
    yield* eventually(() => heard("notifications/cancelled") === 2)
    expect(handlersOf(session.client)).toBe(0)
  })
)

promise("a probe that is given up is not cancelled at the server, and holds nothing", () =>
  Effect.gen(function* () {
    const { heard, server } = yield* overheard(yield* scripted())
    const { group, session } = yield* open(connectorOf(server))
    const ofServer = ProcessGroups.members(group).find(({ command }) => command.includes("node "))?.pid ?? 0
    ProcessGroups.signal(ofServer, "SIGSTOP")
    const probes = 20
    for (let index = 1; index <= probes; index++) {
      const probe = yield* Effect.forkChild(session.probe({ _tag: "ping" }))
      yield* eventually(() => heard("ping") === index)
      yield* Fiber.interrupt(probe)
    }
    expect(handlersOf(session.client)).toBe(0)
    ProcessGroups.signal(ofServer, "SIGCONT")
    // By the time of this answer, whatever was sent before was heard.
    expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
    expect(heard("ping")).toBe(probes + 1)
    expect(heard("notifications/cancelled")).toBe(0)
  })
)

promise("probes of a server whose pipe is full leave nothing to be written", () =>
  Effect.gen(function* () {
    const { heard, server } = yield* overheard(yield* scripted())
    const { group, session } = yield* open(connectorOf(server))
    ProcessGroups.signal(-group, "SIGSTOP")
    const first = yield* Effect.forkChild(call(session, big), { startImmediately: true })
    for (let index = 0; index < 20; index++) {
      const probe = yield* Effect.forkChild(session.probe({ _tag: "ping" }), { startImmediately: true })
      yield* Fiber.interrupt(probe)
    }
    ProcessGroups.signal(-group, "SIGCONT")
    yield* Fiber.join(first)
    expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
    expect(heard("ping")).toBe(1)
    expect(heard("notifications/cancelled")).toBe(0)
  })
)

promise("a request that its caller gave up is kept no longer, whether or not the server reads", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { group, session } = yield* open(connectorOf(server, { shutdown: { end: 0, term: 0 } }))
    ProcessGroups.signal(group, "SIGSTOP")
    // It fills the pipe, so that the others wait behind it.
    yield* Effect.forkScoped(call(session, big), { startImmediately: true })
    const givenUp = (index: number) => {
      const abort = new AbortController()
      const made = session.client.callTool(server.echo(`${index} ${"x".repeat(1_000_000)}`), undefined, abort)
      abort.abort()
      return made.catch(() => {})
    }
    yield* Effect.promise(() => givenUp(0))
    const before = memory()
    for (let index = 1; index <= 100; index++) yield* Effect.promise(() => givenUp(index))
    const grown = (memory() - before) / 1e6
    measured("kept of 100 requests of 1 MB that were given up", grown, "MB")
    expect(grown).toBeLessThan(3)
  })
)

promise("whoever sends notifications waits for a server that does not read, and no longer than the session lives", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { close, group, session } = yield* open(connectorOf(server, { shutdown: { end: 0, term: 0 } }))
    ProcessGroups.signal(group, "SIGSTOP")
    const data = "x".repeat(1_000_000)
    let sent = 0
    const notify = async () => {
      for (; sent < 20; sent++)
        await session.client.notification({
          method: "notifications/progress",
          params: { progressToken: 1, progress: 1, data }
        })
    }
    const notifying = yield* Effect.forkChild(Effect.exit(Effect.tryPromise(notify)), { startImmediately: true })
    // Two are on their way at most: nothing can tell that nothing happens.
    yield* Effect.sleep("50 millis")
    expect(sent).toBeLessThanOrEqual(2)
    ProcessGroups.signal(group, "SIGCONT")
    yield* eventually(() => sent === 20, "the last notification")
    ProcessGroups.signal(group, "SIGSTOP")
    sent = 0
    const others = yield* Effect.forkChild(Effect.exit(Effect.tryPromise(notify)), { startImmediately: true })
    yield* close
    yield* Fiber.join(others)
    yield* Fiber.join(notifying)
  })
)

promise("a request is written as it was when it was made, also if its caller changes its arguments then", () =>
  Effect.gen(function* () {
    const { session } = yield* open(connectorOf(yield* scripted()))
    const args = { message: "as it was" }
    const made = session.client.callTool({ name: "echo", arguments: args })
    args.message = "as it is"
    expect(JSON.stringify(yield* Effect.promise(() => made))).toContain("as it was")
  })
)

promise("a request that is no JSON fails alone, and nothing of it is left", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { session } = yield* open(connectorOf(server))
    const { requests, result } = yield* call(session, { name: "echo", arguments: { message: 1n } })
    expect(Exit.isFailure(result) && String(Cause.squash(result.cause))).toContain("BigInt")
    expect(requests).toMatchObject([{ fate: "unsent" }])
    // the client forgets it in a turn of its own
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    expect(handlersOf(session.client)).toBe(0)
    expect((yield* call(session, server.echo("after it"))).text).toContain("after it")
  })
)

promise("nothing that the server says after the end of its session reaches the handlers of the user's", () =>
  Effect.gen(function* () {
    const asked = (id: string) =>
      JSON.stringify({ jsonrpc: "2.0", id, method: "sampling/createMessage", params: { messages: [], maxTokens: 1 } })
    const told = JSON.stringify({
      jsonrpc: "2.0",
      method: "notifications/message",
      params: { level: "info", data: "x" }
    })
    const { args, command } = StdioServers.throughShell(yield* scripted())
    const [flag = "", script = ""] = args
    const heard: Array<string> = []
    const client = () => {
      const made = new Client({ name: "test", version: "1" }, { capabilities: { sampling: {} } })
      made.setRequestHandler(CreateMessageRequestSchema, (_, { requestId }) => {
        heard.push(String(requestId))
        return { model: "m", role: "assistant", content: { type: "text", text: "" } }
      })
      made.setNotificationHandler(LoggingMessageNotificationSchema, () => void heard.push("told"))
      return made
    }
    const connector = connectorOf(
      // Its server ends with its stdin; the shell then speaks for it.
      {
        command,
        args: [flag, `echo '${asked("before")}'; ${script}; echo '${told}'; echo '${asked("after")}'; echo end >&2`]
      },
      { client }
    )
    const lines = yield* collectStderr(connector)
    const { close } = yield* open(connector)
    yield* eventually(() => heard.length > 0, "what is said before")
    yield* close
    yield* eventually(() => lines.includes("end"), "the end")
    expect(heard).toEqual(["before"])
  })
)

promise("a handler of the user's that throws ends nothing", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    let thrown = 0
    const changed = JSON.stringify({ jsonrpc: "2.0", method: "notifications/tools/list_changed" })
    const { args, command } = StdioServers.throughShell(server)
    const connector = StdioPeerConnector.make({
      command,
      args: [args[0] ?? "", `echo '${changed}'; ${args[1]}`],
      peer: () =>
        Peer.make({
          onMessage: () => {
            thrown++
            throw new Error("the user's own")
          }
        })
    })
    const host = makeHost()
    const session = yield* connector.open(host)
    const { client, requests } = session.call()
    const params = { ...server.echo("after it") }
    const result = yield* Effect.promise(() => client.request({ method: "tools/call", params }))
    expect(JSON.stringify(result)).toContain("after it")
    expect(requests).toMatchObject([{ tool: "echo", fate: "answered", heardAt: undefined }])
    expect(thrown).toBe(1)
    expect(session).toMatchObject({ era: "legacy", stateful: true, separateAnswers: false })
    expect(yield* session.refresh).toBe(false)
    expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
    expect(host.losses).toEqual([])
  })
)
