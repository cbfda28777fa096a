/** A child that dies, or can be reached no more, and what its host is told. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import { bareChild, median } from "../timing.ts"
import { call, collectStderr, connectorOf, eventually, failing, measured, open, promise } from "./support.ts"

const { scripted, throughShell } = StdioServers

/** The median of them counts. */
const tries = 9

for (const [name, script] of [
  ["", {}],
  [", also behind a grandchild in its group that holds its stdout", { grandchild: "group" }],
  [", also behind a grandchild that has left the group and holds its stdout", { grandchild: "detached" }],
  [", also if it is frozen", {}]
] as const) {
  promise(`a SIGKILL is told within 50 ms, as such and once${name}`, () =>
    Effect.gen(function* () {
      const server = yield* scripted(script)
      const took: Array<number> = []
      const bare: Array<number> = []
      const over: Array<Effect.Effect<void>> = []
      for (let index = 0; index < tries; index++) {
        const { close, group, host } = yield* open(connectorOf(server, { shutdown: { end: 0, term: 0 } }))
        if (name.includes("frozen")) ProcessGroups.signal(group, "SIGSTOP")
        const beside = yield* bareChild
        const killing = yield* Effect.forkChild(beside.kill, { startImmediately: true })
        const killed = performance.now()
        ProcessGroups.signal(group, "SIGKILL")
        yield* eventually(() => host.losses.length > 0, "the loss")
        took.push((host.losses[0]?.at ?? Infinity) - killed)
        bare.push(yield* Fiber.join(killing))
        // PID 1 takes up to a second to reap orphans, so they end together.
        const closing = yield* Effect.forkChild(close)
        over.push(
          Effect.map(Fiber.join(closing), () =>
            expect(host.losses).toMatchObject([{ reason: "process_exit", detail: { summary: "signal SIGKILL" } }])
          )
        )
      }
      yield* Effect.all(over)
      measured(`SIGKILL told${name}`, median(took))
      measured(`the exit of a bare child`, median(bare))
      expect(median(took.map((each, index) => each - (bare[index] ?? 0)))).toBeLessThanOrEqual(50)
    })
  )
}

promise(
  "a SIGKILL is told as such also by a process whose every turn takes so long that what is left in the pipes is late",
  () =>
    Effect.gen(function* () {
      const server = yield* scripted({ grandchild: "group" })
      const { group, host } = yield* open(connectorOf(server))
      let turn: NodeJS.Immediate | undefined
      const busy = () => {
        const until = performance.now() + 70
        while (performance.now() < until);
        turn = setImmediate(busy)
      }
      yield* Effect.acquireUseRelease(
        Effect.sync(busy),
        () =>
          Effect.sync(() => ProcessGroups.signal(group, "SIGKILL")).pipe(
            Effect.andThen(eventually(() => host.losses.length > 0, "the loss"))
          ),
        () => Effect.sync(() => clearImmediate(turn))
      )
      expect(host.losses).toMatchObject([{ reason: "process_exit", detail: { summary: "signal SIGKILL" } }])
    })
)

for (const [name, called, summary] of [
  ["an exit", { name: "exit", arguments: { code: 3 } }, "exit code 3"],
  ["a regular exit", { name: "exit", arguments: { code: 0 } }, "exit code 0"],
  ["a signal of its own", { name: "kill", arguments: { signal: "SIGABRT" } }, "signal SIGABRT"],
  ["SIGTERM", { name: "kill", arguments: { signal: "SIGTERM" } }, "signal SIGTERM"]
] as const) {
  promise(`${name} is told as ${summary}, and ends the call that is under way`, () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const { close, host, session } = yield* open(connectorOf(server))
      const calling = yield* Effect.forkChild(call(session, called))
      yield* eventually(() => host.losses.length > 0, "the loss")
      yield* close
      expect(host.losses).toMatchObject([{ reason: "process_exit", detail: { summary, output: [] } }])
      expect((yield* Fiber.join(calling)).requests).toMatchObject([
        { fate: "dispatched", evidence: { reason: "process_exit", detail: { summary } } }
      ])
    })
  )
}

promise("the signal that is told is the one that ended the child, whatever stands in its arguments", () =>
  Effect.gen(function* () {
    const { args, command } = yield* scripted()
    const connector = connectorOf({ command, args: [...args, "DESIGN", "--token=SIGNKEY4711", "signal: 'SIGHUP'"] })
    const { group, host } = yield* open(connector)
    ProcessGroups.signal(group, "SIGKILL")
    yield* eventually(() => host.losses.length > 0, "the loss")
    expect(host.losses).toMatchObject([{ detail: { summary: "signal SIGKILL" } }])
  })
)

promise("the end of a wrapper is the end of the session, with the wrapper's status", () =>
  Effect.gen(function* () {
    const server = throughShell(yield* scripted())
    const { host, session } = yield* open(connectorOf(server))
    yield* Effect.forkScoped(call(session, { name: "kill" }))
    yield* eventually(() => host.losses.length > 0, "the loss")
    expect(host.losses).toMatchObject([{ reason: "process_exit", detail: { summary: "exit code 0" } }])
  })
)

promise("a death during the handshake fails the opening, says so, and has the last lines of stderr", () =>
  Effect.gen(function* () {
    const dead = (script: StdioServers.Script, kill: (group: number) => void = () => {}) =>
      Effect.flatMap(scripted(script), (server) => failing(connectorOf(server), kill))
    expect(yield* dead({ dieOn: "initialize" })).toMatchObject({
      reason: "process_exit",
      detail: { summary: "exit code 3 during the handshake", output: [] }
    })
    expect(yield* dead({ stderr: ["no config", "giving up"], exit: 78 })).toMatchObject({
      detail: { summary: "exit code 78 during the handshake", output: ["no config", "giving up"] }
    })
    expect(yield* dead({ silent: true }, (group) => ProcessGroups.signal(group, "SIGKILL"))).toMatchObject({
      detail: { summary: "signal SIGKILL during the handshake" }
    })
  })
)

promise("what a server wrote last before it died is told, a line without end included", () =>
  Effect.gen(function* () {
    const lines = Array.from({ length: 60 }, (_, index) => `line ${index}`)
    const server = yield* scripted({ stderr: lines })
    const { command, args } = throughShell(server)
    const unfinished = { command, args: [args[0] ?? "", `${args[1]}; printf 'half a line' >&2; exit 9`] }
    const connector = connectorOf(unfinished)
    const written = yield* collectStderr(connector)
    const { group, host, session } = yield* open(connector)
    yield* Effect.forkScoped(call(session, { name: "exit" }))
    yield* eventually(() => host.losses.length > 0, "the loss")
    expect(host.losses).toMatchObject([
      { detail: { summary: "exit code 9", output: [...lines.slice(-49), "half a line"] } }
    ])
    expect(ProcessGroups.members(group)).toEqual([])
    yield* eventually(() => written.length === 61, "all lines")
    expect(written.at(-1)).toBe("half a line")
  })
)

promise("what is still in the pipes when the exit is seen is told, too", () =>
  Effect.gen(function* () {
    // as much as the pipe takes, so that it need not wait for a reader
    const connector = connectorOf({ command: "sh", args: ["-c", "sleep 0.05; seq 1 30000 >&2; exit 3"] })
    const last: Array<string | undefined> = []
    for (let index = 0; index < 8; index++) {
      // It writes and exits while this process is busy, which so finds both at once.
      const busy = () => {
        const until = performance.now() + 120
        while (performance.now() < until);
      }
      last.push((yield* failing(connector, busy)).detail?.output.at(-1))
    }
    expect(last).toEqual(last.map(() => "30000"))
  })
)

promise("an answer that was written just before the exit still arrives", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    for (let index = 0; index < 10; index++) {
      const { close, host, session } = yield* open(connectorOf(server))
      const { requests, text } = yield* call(session, { name: "answerAndExit", arguments: { code: 1 } })
      expect(text).toBe("done")
      expect(requests).toMatchObject([{ fate: "answered", evidence: { _tag: "Answered" } }])
      yield* eventually(() => host.losses.length > 0, "the loss")
      yield* close
      expect(host.losses).toMatchObject([{ reason: "process_exit", detail: { summary: "exit code 1" } }])
    }
  })
)

promise("a server that lives on without its stdout is lost, and goes with the session", () =>
  Effect.gen(function* () {
    const server = yield* scripted({ ignoreEof: true })
    const { close, group, host, session } = yield* open(connectorOf(server, { shutdown: { end: 100 } }))
    expect((yield* call(session, { name: "closeStdout" })).text).toBe("done")
    yield* eventually(() => host.losses.length > 0, "the loss")
    expect(ProcessGroups.members(group)).toHaveLength(1)
    yield* close
    expect(host.losses).toMatchObject([{ reason: "reset", detail: { summary: "closed its pipes" } }])
  })
)

promise("a server that lives on without its stdin is lost as soon as something is written to it", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { close, group, host, session } = yield* open(connectorOf(server, { shutdown: { end: 100 } }))
    expect((yield* call(session, { name: "closeStdin" })).text).toBe("done")
    // It closes it after the answer, so the first probes may still go into the pipe.
    const probing = yield* Effect.forkScoped(
      Effect.forever(
        Effect.andThen(Effect.timeoutOption(session.probe({ _tag: "ping" }), "50 millis"), Effect.yieldNow)
      )
    )
    yield* eventually(() => host.losses.length > 0, "the loss")
    yield* Fiber.interrupt(probing)
    expect(ProcessGroups.members(group)).toHaveLength(1)
    yield* close
    expect(host.losses).toMatchObject([{ reason: "reset", detail: { summary: "closed its pipes" } }])
  })
)

promise("a client that somebody closes is told as closed, once, whatever becomes of the child", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { close, group, host, session } = yield* open(connectorOf(server))
    yield* Effect.promise(() => session.client.close())
    expect(host.losses).toMatchObject([{ reason: "closed", detail: undefined }])
    ProcessGroups.signal(group, "SIGKILL")
    yield* ProcessGroups.awaitGone(group)
    yield* close
    expect(host.losses).toHaveLength(1)
  })
)
