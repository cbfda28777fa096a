/** What a server writes that is no answer, and who holds its stdout when it has died. */
import { assert, describe } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import {
  eventually,
  inShell,
  is,
  isRenewed,
  keep,
  only,
  path,
  quick,
  quickBound,
  quickShutdown,
  type Seen,
  text,
  together
} from "./support.ts"

const { scripted } = StdioServers

const garbageIn = (events: ReadonlyArray<Seen>) => {
  const noticed = only(events, "Noticed").filter(({ notice }) => notice === "garbage")
  return { events: noticed.length, lines: noticed.reduce((sum, { count }) => sum + count, 0) }
}

describe("garbage on stdout", () => {
  const promise = together()

  for (const [garbage, lines] of [
    ["start", 2],
    ["between", 2],
    ["prefix", 1]
  ] as const)
    promise(`(${garbage}) is told in events; calls are answered and the state stays Connected`, () =>
      Effect.gen(function* () {
        const server = yield* scripted({ garbage })
        const kept = yield* keep(server)
        const before = garbageIn(kept.events).lines
        assert.isAtLeast(before, lines)
        for (const message of ["one", "two", "three"])
          assert.include(text(yield* kept.call(server.echo(message))), message)
        yield* kept.backend.probe
        // three answers and that to the probe; what stands at the start comes once
        if (garbage !== "start") assert.isAtLeast(garbageIn(kept.events).lines - before, 4 * lines)
        assert.deepStrictEqual(path(kept.events), ["Connected"])
        assert.strictEqual((yield* server.executions).length, 3)
      })
    )

  promise("in a flood is counted to the line, in few events", () =>
    Effect.gen(function* () {
      const kept = yield* keep(yield* scripted())
      yield* kept.call({ name: "garbage", arguments: { lines: 50_000 } })
      const { events, lines } = garbageIn(kept.events)
      assert.strictEqual(lines, 50_000)
      assert.isBelow(events, 500)
      assert.deepStrictEqual(path(kept.events), ["Connected"])
    })
  )

  promise("instead of answers keeps no session alive: the probes time out and it is replaced", () =>
    Effect.gen(function* () {
      const quiet = yield* scripted()
      const server = inShell(quiet, (server) => `(while sleep 0.02; do echo noise; done) & ${server}`)
      const kept = yield* keep(server, { policy: quick, connector: { shutdown: quickShutdown } })
      yield* kept.call(server.echo("before"))
      const first = kept.pid()
      const real = ProcessGroups.members(first).find(({ command }) => command.startsWith(quiet.command))
      const frozenAt = kept.signal("SIGSTOP", real?.pid)
      const closed = yield* kept.event("SessionClosed", frozenAt)
      assert.strictEqual(closed.reason, "timeout")
      assert.isBelow(closed.seenAt - frozenAt, quickBound + 1000)
      const meanwhile = kept.events.filter(({ seenAt }) => seenAt > frozenAt + 100 && seenAt < closed.seenAt)
      assert.isAbove(garbageIn(meanwhile).lines, 5)
      yield* kept.until(isRenewed(closed.generation))
      assert.deepStrictEqual(ProcessGroups.members(first), [])
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
    })
  )
})

describe("a grandchild that holds the stdout of a server that was killed", () => {
  const promise = together()

  for (const grandchild of ["group", "detached"] as const)
    promise(`(${grandchild}) hides no death, and has ended before the next server starts`, () =>
      Effect.gen(function* () {
        const server = yield* scripted({ grandchild })
        const kept = yield* keep(server)
        yield* kept.call(server.echo("before"))
        const [holder = Number.NaN] = yield* server.grandchildren
        const group = grandchild === "group" ? kept.pid() : holder
        kept.watched.add(group)
        const shared = ProcessGroups.fdsOf(kept.pid()).filter((target) => ProcessGroups.fdsOf(holder).includes(target))
        assert.isAtLeast(shared.filter((target) => /^(pipe|socket):/.test(target)).length, 2)
        const killedAt = kept.signal("SIGKILL")
        const closed = yield* kept.event("SessionClosed", killedAt)
        assert.deepStrictEqual([closed.reason, closed.detail], ["process_exit", "signal SIGKILL"])
        assert.isBelow(closed.seenAt - killedAt, 1000)
        yield* kept.until(isRenewed())
        assert.deepStrictEqual(kept.spawns.at(-1)?.others, [])
        assert.deepStrictEqual(ProcessGroups.members(group), [])
        assert.include(text(yield* kept.call(server.echo("after"))), "after")
        assert.strictEqual((yield* server.grandchildren).length, 2)
      })
    )

  promise("started in the midst of a session ends with it, too", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server)
      for (const kind of ["group", "detached"]) yield* kept.call({ name: "spawnGrandchild", arguments: { kind } })
      const grandchildren = yield* server.grandchildren
      assert.strictEqual(grandchildren.length, 2)
      yield* kept.backend.isolate
      for (const pid of grandchildren)
        yield* eventually(
          Effect.sync(() => ProcessGroups.fdsOf(pid)),
          (fds) => fds.length === 0
        )
      yield* kept.until(is("Isolated"))
    })
  )
})

describe("a server that lives and can be reached no more is ended and started again", () => {
  const promise = together()

  const sockets = (pid: number) => ProcessGroups.fdsOf(pid).filter((target) => /^(pipe|socket):/.test(target)).length
  for (const tool of ["closeStdout", "closeStdin"])
    promise(`because it did ${tool}`, () =>
      Effect.gen(function* () {
        const server = yield* scripted()
        const kept = yield* keep(server, { connector: { shutdown: quickShutdown } })
        const before = sockets(kept.pid())
        yield* kept.call({ name: tool, arguments: {} })
        yield* eventually(
          Effect.sync(() => sockets(kept.pid())),
          (now) => now < before
        )
        const error = yield* Effect.flip(kept.call(server.echo("lost")))
        assert(error._tag === "OutcomeUnknown")
        assert.deepStrictEqual([error.reason, error.detail?.summary], ["reset", "closed its pipes"])
        yield* kept.until(isRenewed())
        assert.deepStrictEqual(kept.spawns.at(-1)?.others, [])
        assert.include(text(yield* kept.call(server.echo("after"))), "after")
      })
    )
})
