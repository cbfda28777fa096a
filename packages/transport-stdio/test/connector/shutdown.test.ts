/** How a child ends when its session does, and that nothing of it is left. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import type { Scope } from "effect"
import { Effect } from "effect"
import { call, collectStderr, connectorOf, eventually, eventuallyEffect, isWatchdog, open, promise } from "./support.ts"

const { scripted, throughShell } = StdioServers

/** The testkit's server behind a shell that tells how it ended, and survives what ends it. */
const telling = (server: StdioServers.StdioServer): StdioServers.StdioServer => {
  const [, script = ""] = throughShell(server).args
  return {
    ...server,
    command: "sh",
    args: ["-c", `trap 'echo TERM >&2' TERM; ${script}`.replace(/true$/, "echo ended $? >&2")]
  }
}

/** Far longer than anything takes: what waits for it, fails. */
const never = "30 seconds"
const soon = 5000
/** Less than any default bound, and far more than a busy machine needs. */
const atOnce = 1400

/** What a shell says of one that SIGTERM has ended. */
const terminated = 128 + 15

promise("a server that ends with its stdin is not signalled, and not waited for any longer", () =>
  Effect.gen(function* () {
    const connector = connectorOf(telling(yield* scripted()), { shutdown: { end: never, term: never, kill: never } })
    const lines = yield* collectStderr(connector)
    const { close, host } = yield* open(connector)
    expect(yield* close).toBeLessThan(soon)
    // A signal to the group would have ended the server with 143, and the shell would tell of it.
    yield* eventually(() => lines.length > 0, "the end")
    expect(lines).toEqual(["ended 0"])
    expect(host.losses).toEqual([])
  })
)

promise("a server that is at work when its stdin ends may finish", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const connector = connectorOf(telling(server), { shutdown: { end: never } })
    const lines = yield* collectStderr(connector)
    const { close, session } = yield* open(connector)
    yield* Effect.forkScoped(call(session, server.slow(0.5)))
    yield* eventuallyEffect(Effect.map(server.executions, ({ length }) => length === 1))
    yield* close
    yield* eventually(() => lines.length > 0, "the end")
    expect(lines).toEqual(["ended 0"])
  })
)

promise("a server that goes on without stdin gets SIGTERM after the first bound, and no later", () =>
  Effect.gen(function* () {
    for (const end of [200, 700]) {
      const server = yield* scripted({ ignoreEof: true })
      const connector = connectorOf(telling(server), { shutdown: { end, term: never, kill: never } })
      const lines = yield* collectStderr(connector)
      const { close } = yield* open(connector)
      const took = yield* close
      expect(took).toBeGreaterThanOrEqual(end)
      expect(took).toBeLessThan(end + atOnce)
      yield* eventually(() => lines.includes(`ended ${terminated}`), "the end")
      expect(lines).toContain("TERM")
    }
  })
)

promise("a server that ignores SIGTERM, too, gets SIGKILL after the second bound; both are 2 s unless set", () =>
  Effect.gen(function* () {
    const server = yield* scripted({ ignoreEof: true, ignoreTerm: true })
    const opened = yield* Effect.forEach(
      [
        { end: 100, term: 500, options: { shutdown: { end: 100, term: 500 } } },
        { end: 500, term: 100, options: { shutdown: { end: 500, term: 100, kill: never } } },
        { end: 2000, term: 2000, options: {} }
      ] as const,
      ({ end, options, term }) =>
        Effect.map(open(connectorOf(server, options)), (session) => ({ ...session, least: end + term }))
    )
    yield* Effect.forEach(
      opened,
      ({ close, group, host, least }) =>
        Effect.map(close, (took) => {
          expect(ProcessGroups.members(group)).toEqual([])
          expect(took).toBeGreaterThanOrEqual(least)
          expect(took).toBeLessThan(least + atOnce)
          expect(host.losses).toEqual([])
        }),
      { concurrency: "unbounded" }
    )
  })
)

promise("a frozen server is gone at once where no bound allows it any time", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { close, group } = yield* open(connectorOf(server, { shutdown: { end: 0, term: 0, kill: 0 } }))
    ProcessGroups.signal(group, "SIGSTOP")
    expect(yield* close).toBeLessThan(soon)
    yield* ProcessGroups.awaitGone(group)
  })
)

const wrapped: ReadonlyArray<readonly [string, Effect.Effect<StdioServers.StdioServer, never, Scope.Scope>, number]> = [
  ["a shell around it", Effect.map(scripted(), throughShell), 2],
  ["npx, which makes three processes of it", StdioServers.everythingThroughNpx, 3],
  ["a grandchild in its group", scripted({ grandchild: "group" }), 2],
  ["a grandchild that has left the group and holds its stdout", scripted({ grandchild: "detached" }), 1],
  [
    "all of it at once",
    Effect.map(scripted({ ignoreEof: true, ignoreTerm: true, grandchild: "detached" }), throughShell),
    2
  ]
]
const short = { end: 300, term: 300 }

for (const [name, make, processes] of wrapped) {
  promise(`nothing is left of a server with ${name}`, () =>
    Effect.gen(function* () {
      const server = yield* make
      const { close, group, host, session } = yield* open(connectorOf(server, { shutdown: short }))
      expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      expect(ProcessGroups.members(group)).toHaveLength(processes)
      const began = performance.now()
      yield* close
      // PID 1 may take a second to reap orphans, for which a closing waits.
      expect(performance.now() - began).toBeLessThan(soon)
      expect(ProcessGroups.members(group)).toEqual([])
      expect(host.losses).toEqual([])
    })
  )
}

for (const kind of ["group", "detached"] as const) {
  promise(`what a server has started (${kind}) goes with it when it was killed, too`, () =>
    Effect.gen(function* () {
      const server = yield* scripted({ grandchild: kind })
      const { close, group, host } = yield* open(connectorOf(server))
      const [grandchild = 0] = yield* server.grandchildren
      expect(ProcessGroups.fdsOf(grandchild)).not.toEqual([])
      ProcessGroups.signal(group, "SIGKILL")
      yield* eventually(() => host.losses.length === 1, "the loss")
      expect(ProcessGroups.fdsOf(grandchild)).not.toEqual([])
      yield* close
      expect(ProcessGroups.fdsOf(grandchild)).toEqual([])
      expect(host.losses).toHaveLength(1)
    })
  )
}

promise(
  "what has left the group and holds a pipe of the server's goes with it, as whatever descriptor it holds it",
  () =>
    Effect.gen(function* () {
      const { args, command } = throughShell(yield* scripted())
      // It says who it is, and has the stdout of the server as its descriptor 3.
      const holder =
        "exec 3>&1; setsid sh -c 'echo $$ >&2; exec sleep 600 2>/dev/null' </dev/null >/dev/null & exec 3>&-"
      const connector = connectorOf({ command, args: ["-c", `${holder}\n${args[1]}`] })
      const lines = yield* collectStderr(connector)
      const { close } = yield* open(connector)
      yield* eventually(() => lines.length > 0, "the holder")
      const pid = Number(lines[0])
      yield* eventually(() => ProcessGroups.fdsOf(pid)[2] === "/dev/null", "the holder's own stderr")
      yield* close
      expect(ProcessGroups.fdsOf(pid)).toEqual([])
    })
)

promise("a watchdog watches over a session, and ends with it", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const watchdogs = () => ProcessGroups.children().filter(({ command }) => isWatchdog(command))
    const { close, group } = yield* open(connectorOf(server, { watchdog: true }))
    expect(watchdogs()).toHaveLength(1)
    // In a group of its own, which the signals to the child's do not reach.
    expect(watchdogs().map((watchdog) => watchdog.group)).not.toContain(group)
    yield* close
    expect(watchdogs()).toEqual([])
  })
)
