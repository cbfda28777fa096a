/** A session that does not come to be, at whatever moment that shows. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber } from "effect"
import type { SpawnOptions } from "node:child_process"
import { availableParallelism } from "node:os"
import { vi } from "vitest"
import { connectorOf, eventually, eventuallyEffect, makeHost, open, opening, promise } from "./support.ts"

const { scripted, throughShell } = StdioServers

/** Whether there is a shell for watchdogs. */
const watchdog = { hasShell: true }
vi.mock("node:child_process", async (importOriginal) => {
  const original = await importOriginal<typeof import("node:child_process")>()
  const spawn = (command: string, args: ReadonlyArray<string>, options: SpawnOptions) =>
    original.spawn(command === "/bin/sh" && !watchdog.hasShell ? "/nowhere/sh" : command, args, options)
  return { ...original, spawn }
})

const short = { end: 300, term: 300 }

promise("an opening that is interrupted at any time leaves nothing", () =>
  Effect.gen(function* () {
    const server = throughShell(yield* scripted({ grandchild: "detached" }))
    // From before the child is there until after the handshake.
    for (const after of [0, 1, 2, 4, 8, 16, 32, 64, 128]) {
      const host = makeHost()
      const attempt = yield* Effect.forkChild(Effect.scoped(connectorOf(server, { shutdown: short }).open(host)))
      yield* Effect.sleep(after)
      yield* Fiber.interrupt(attempt)
      expect(ProcessGroups.children()).toEqual([])
      expect(host.losses).toEqual([])
    }
  })
)

for (const watchdog of [false, true]) {
  const what = watchdog ? " under a watchdog" : ""
  promise(`an opening that a silent server holds up${what} is interrupted, and leaves nothing`, () =>
    Effect.gen(function* () {
      const server = yield* scripted({ silent: true, ignoreEof: true, ignoreTerm: true })
      const host = makeHost()
      const connector = connectorOf(server, { shutdown: short, watchdog })
      const attempt = yield* Effect.forkChild(Effect.scoped(connector.open(host)))
      yield* eventuallyEffect(Effect.map(server.starts, (starts) => starts === 1))
      expect(attempt.pollUnsafe()).toBeUndefined()
      expect(ProcessGroups.children()).toHaveLength(watchdog ? 2 : 1)
      yield* Fiber.interrupt(attempt)
      expect(ProcessGroups.children()).toEqual([])
      expect(host.losses).toEqual([])
    })
  )
}

promise("a server whose answer to initialize is not MCP, or an error, fails its opening with what was seen", () =>
  Effect.gen(function* () {
    const answering = (answer: object) =>
      connectorOf({
        command: "sh",
        args: ["-c", `read -r line; echo '${JSON.stringify({ jsonrpc: "2.0", id: 0, ...answer })}'; cat >/dev/null`]
      })
    expect(yield* Effect.flip(Effect.scoped(open(answering({ result: { hello: "world" } }))))).toEqual({
      _tag: "TransportFailure",
      reason: "protocol"
    })
    expect(
      yield* Effect.flip(Effect.scoped(open(answering({ error: { code: -32000, message: "no upstream" } }))))
    ).toEqual({ _tag: "ErrorAnswer", code: -32000 })
    expect(ProcessGroups.children()).toEqual([])
  })
)

promise("a command line that the system refuses fails the opening, and says how", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    // Linux takes no argument of more than 128 KiB.
    const connector = connectorOf({ ...server, args: [...server.args, "x".repeat(200_000)] })
    expect(yield* connector.issues).toEqual([])
    expect(yield* Effect.flip(Effect.scoped(connector.open(makeHost())))).toEqual({
      _tag: "TransportFailure",
      reason: "spawn",
      detail: { summary: "the command could not be started (E2BIG)", output: [] },
      code: "E2BIG"
    })
  })
)

promise("a client that cannot be made leaves no child", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const connector = connectorOf(server, {
      client: () => {
        throw new Error("no client")
      }
    })
    expect(Exit.isFailure(yield* Effect.exit(Effect.scoped(connector.open(makeHost()))))).toBe(true)
    expect(ProcessGroups.children()).toEqual([])
  })
)

promise("a watchdog that cannot be started fails the opening, and leaves no child", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    yield* Effect.acquireRelease(
      Effect.sync(() => (watchdog.hasShell = false)),
      () => Effect.sync(() => (watchdog.hasShell = true))
    )
    const failure = yield* Effect.flip(Effect.scoped(connectorOf(server, { watchdog: true }).open(makeHost())))
    const summary = "the watchdog could not be started (ENOENT)"
    expect(failure).toEqual({
      _tag: "TransportFailure",
      reason: "spawn",
      detail: { summary, output: [] },
      code: "ENOENT"
    })
    expect(ProcessGroups.children()).toEqual([])
  })
)

promise("every session has a client, a child and records of its own", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const clients: Array<Client> = []
    const connector = connectorOf(server, {
      client: () => {
        const client = new Client({ name: "test", version: "1" })
        clients.push(client)
        return client
      }
    })
    const [one, other] = [yield* open(connector), yield* open(connector)]
    expect([one.session.client, other.session.client]).toEqual(clients)
    expect(one.group).not.toBe(other.group)
    expect(connector).toMatchObject({
      kind: "stdio",
      exclusive: true,
      supportsOptions: false,
      connectTimeout: "120 seconds",
      // all children of this process are started together, as many at a time as there are cores
      origin: { key: "stdio", limit: availableParallelism() }
    })
    expect(one.session).toMatchObject({ era: "legacy", stateful: true })
    ProcessGroups.signal(one.group, "SIGKILL")
    yield* eventually(() => one.host.losses.length === 1)
    expect(yield* other.session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
    expect(other.host.losses).toEqual([])
    expect(yield* server.starts).toBe(2)
  })
)

promise("a connector that was never opened has started nothing", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    connectorOf(server)
    expect(yield* server.starts).toBe(0)
    const { fiber } = yield* opening(connectorOf(server))
    yield* Fiber.join(fiber)
    expect(yield* server.starts).toBe(1)
  })
)
