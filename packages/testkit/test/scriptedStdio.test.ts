import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Leftovers, ProcessGroups, StdioServers } from "../src/index.ts"
import { environment, start } from "./child.ts"
import { until } from "./wait.ts"

const { scripted, throughShell } = StdioServers

// The runner's timers come and go.
const leftovers = Effect.runSync(Leftovers.make({ ignore: ["Timeout"] }))

/** A server with this script, started. */
const run = Effect.fnUntraced(function* (script: StdioServers.Script = {}, stderr: "read" | "unread" = "read") {
  const server = yield* scripted(script)
  const child = yield* start(server, stderr)
  return { server, child }
})
/** Until it has, it may be anywhere in its start. */
const ready = Effect.fnUntraced(function* (script: StdioServers.Script = {}) {
  const { child, server } = yield* run(script)
  yield* child.initialize
  return { server, child }
})
const answer = (id: number, result: unknown) => `${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`
const pids = (group: number) => ProcessGroups.members(group).map(({ pid }) => pid)
/** Ends what a test lets outlive its server. */
const ends = (child: number) => Effect.addFinalizer(() => Effect.sync(() => ProcessGroups.signal(child, "SIGKILL")))

describe("with an empty script", () => {
  it.live("it is a good server, and ends with code 0 when its input does", () =>
    Effect.gen(function* () {
      const { child, server } = yield* ready()
      assert.deepStrictEqual((yield* child.rpc("ping")).result, {})
      assert.include(JSON.stringify(yield* child.rpc("tools/list")), '"name":"echo"')
      assert.strictEqual((yield* child.rpc("nonsense")).error?.code, -32601)
      assert.strictEqual((yield* child.call({ name: "toString", arguments: { a: 1 } })).error?.code, -32602)
      assert.deepStrictEqual(yield* server.executions, [{ tool: "toString", arguments: { a: 1 } }])
      child.send("nonsense\n")
      const slow = yield* Effect.forkChild(child.text("slow", { ms: 50 }), { startImmediately: true })
      child.endInput()
      assert.strictEqual(yield* Fiber.join(slow), "done")
      assert.strictEqual(yield* child.exited, 0)
      assert.include(child.stdout(), '"id":null,"error":{"code":-32700')
      assert.strictEqual(child.stderr(), "")
    })
  )

  it.live("a script that it does not understand ends it, with the field's name", () =>
    Effect.gen(function* () {
      for (const wrong of [{ exitCode: 1 }, { exit: -1 }, { garbage: "end" }, { stderr: "one" }, { silent: 1 }]) {
        const server = yield* scripted()
        const child = yield* start({ ...server, args: [...server.args.slice(0, -1), JSON.stringify(wrong)] })
        assert.strictEqual(yield* child.exited, 1)
        yield* child.stderrUntil(`The script's ${Object.keys(wrong)[0]} cannot be`)
      }
    })
  )
})

describe("the start", () => {
  it.live("stderr and exit: all lines arrive, however late they are read, and then the code", () =>
    Effect.gen(function* () {
      const { child, server } = yield* run({ stderr: ["one", "two"], stderrFlood: 800_000, exit: 7 }, "unread")
      yield* until(Effect.map(server.starts, (starts) => starts === 1))
      child.readStderr()
      assert.strictEqual(yield* child.exited, 7)
      assert.strictEqual((yield* child.stderrUntil("flood end\n")).length, 800_018)
      assert.isTrue(child.stderr().startsWith("one\ntwo\nflood 000000001 x"))
      assert.strictEqual(child.stdout(), "")
    })
  )

  it.live("dieOn initialize: code 3, without an answer", () =>
    Effect.gen(function* () {
      const { child } = yield* run({ dieOn: "initialize" })
      assert.deepStrictEqual((yield* child.rpc("ping")).result, {})
      yield* Effect.forkChild(child.initialize, { startImmediately: true })
      assert.strictEqual(yield* child.exited, 3)
      assert.strictEqual(child.stdout(), answer(1, {}))
    })
  )

  it.live("silent: it answers nothing and executes nothing, and still ends with its input", () =>
    Effect.gen(function* () {
      const { child, server } = yield* run({ silent: true })
      yield* Effect.forkChild(child.initialize, { startImmediately: true })
      yield* Effect.forkChild(child.text("echo"), { startImmediately: true })
      child.endInput()
      assert.strictEqual(yield* child.exited, 0)
      assert.strictEqual(child.stdout(), "")
      assert.deepStrictEqual([yield* server.starts, yield* server.executions], [1, []])
    })
  )

  it.live("startDelay: it writes its first lines, and answers after the delay", () =>
    Effect.gen(function* () {
      const begin = performance.now()
      const { child } = yield* run({ stderr: ["soon"], startDelay: 300 })
      const opening = yield* Effect.forkChild(child.initialize, { startImmediately: true })
      yield* child.stderrUntil("soon\n")
      assert.isUndefined(opening.pollUnsafe())
      assert.isDefined((yield* Fiber.join(opening)).result)
      assert.isAtLeast(performance.now() - begin, 300)
    })
  )

  it.live("stderrFlood: the handshake is answered though nobody reads it, and every line arrives", () =>
    Effect.gen(function* () {
      const { child } = yield* run({ stderrFlood: 400_000 }, "unread")
      assert.isDefined((yield* child.initialize).result)
      child.readStderr()
      const [end, last, ...lines] = (yield* child.stderrUntil("flood end\n")).split("\n").toReversed()
      assert.deepStrictEqual([end, last, lines.length], ["", "flood end", 5000])
      const numbered = (line: string, index: number) =>
        line.length === 79 && line.startsWith(`flood ${String(index + 1).padStart(9, "0")} x`)
      assert.isTrue(lines.toReversed().every(numbered))
    })
  )
})

describe("garbage", () => {
  const text = "Loading...\n"
  const json = '{"level":"info"}\n'

  it.live("start: text, JSON and an empty line stand before everything", () =>
    Effect.gen(function* () {
      const { child } = yield* run({ garbage: "start" })
      yield* child.rpc("ping")
      assert.strictEqual(child.stdout(), `${text}${json}\n${answer(1, {})}`)
    })
  )

  it.live("between: lines of text and JSON stand before each answer", () =>
    Effect.gen(function* () {
      const { child } = yield* run({ garbage: "between" })
      yield* child.rpc("ping")
      yield* child.rpc("ping")
      assert.strictEqual(child.stdout(), `${text}${json}${answer(1, {})}${text}${json}${answer(2, {})}`)
    })
  )

  it.live("prefix: text stands on the line of each answer", () =>
    Effect.gen(function* () {
      const { child } = yield* run({ garbage: "prefix" })
      yield* child.rpc("ping")
      yield* child.rpc("ping")
      assert.strictEqual(child.stdout(), `Loading...${answer(1, {})}Loading...${answer(2, {})}`)
    })
  )
})

describe("a grandchild", () => {
  it.live("group: it is in the server's group, and holds stdout when the server has died", () =>
    Effect.gen(function* () {
      const { child, server } = yield* ready({ grandchild: "group" })
      const [grandchild = 0] = yield* server.grandchildren
      assert.sameMembers(pids(child.pid), [child.pid, grandchild])
      const ended = yield* Effect.forkChild(child.stdoutEnded, { startImmediately: true })
      ProcessGroups.signal(child.pid, "SIGKILL")
      assert.strictEqual(yield* child.exited, "SIGKILL")
      assert.deepStrictEqual(pids(child.pid), [grandchild])
      assert.isUndefined(ended.pollUnsafe())
      ProcessGroups.signal(grandchild, "SIGTERM")
      assert.isTrue(yield* Fiber.join(ended))
    })
  )

  it.live("detached: it survives its group, holds stdout, and Leftovers knows it", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make()
      const { child, server } = yield* ready({ grandchild: "detached" })
      const [grandchild = 0] = yield* server.grandchildren
      yield* ends(grandchild)
      assert.deepStrictEqual(pids(child.pid), [child.pid])
      assert.deepStrictEqual(pids(grandchild), [grandchild])
      const ended = yield* Effect.forkChild(child.stdoutEnded, { startImmediately: true })
      ProcessGroups.signal(-child.pid, "SIGKILL")
      yield* child.exited
      assert.isUndefined(ended.pollUnsafe())
      assert.include(yield* leftovers.list, `process ${grandchild} sleep 600`)
      ProcessGroups.signal(grandchild, "SIGKILL")
      assert.isTrue(yield* Fiber.join(ended))
    })
  )

  it.live("spawnGrandchild: the same while it runs, with the pid for an answer", () =>
    Effect.gen(function* () {
      const { child, server } = yield* ready()
      const group = Number(yield* child.text("spawnGrandchild"))
      const detached = Number(yield* child.text("spawnGrandchild", { kind: "detached" }))
      yield* ends(detached)
      assert.deepStrictEqual(yield* server.grandchildren, [group, detached])
      assert.sameMembers(pids(child.pid), [child.pid, group])
      assert.deepStrictEqual(pids(detached), [detached])
    })
  )
})

describe("stubbornness", () => {
  it.live("ignoreEof: it goes on where another has ended", () =>
    Effect.gen(function* () {
      const stubborn = yield* ready({ ignoreEof: true })
      const other = yield* ready()
      stubborn.child.endInput()
      other.child.endInput()
      assert.strictEqual(yield* other.child.exited, 0)
      ProcessGroups.signal(stubborn.child.pid, "SIGTERM")
      assert.strictEqual(yield* stubborn.child.exited, "SIGTERM")
    })
  )

  it.live("ignoreTerm: it answers after SIGTERM", () =>
    Effect.gen(function* () {
      const { child } = yield* ready({ ignoreTerm: true })
      ProcessGroups.signal(child.pid, "SIGTERM")
      assert.deepStrictEqual((yield* child.rpc("ping")).result, {})
      ProcessGroups.signal(child.pid, "SIGKILL")
      assert.strictEqual(yield* child.exited, "SIGKILL")
    })
  )
})

describe("a tool", () => {
  const order = (stdout: string) =>
    stdout
      .split("\n")
      .slice(1, -1)
      .map((line): unknown => JSON.parse(line).id)

  it.live("slow lets a ping overtake it, block does not", () =>
    Effect.gen(function* () {
      for (const { ids, name } of [
        { name: "slow", ids: [3, 2] },
        { name: "block", ids: [2, 3] }
      ]) {
        const { child } = yield* ready()
        const begin = performance.now()
        yield* Effect.all([child.text(name, { ms: 100 }), child.rpc("ping")], { concurrency: 2 })
        assert.isAtLeast(performance.now() - begin, 99)
        assert.deepStrictEqual(order(child.stdout()), ids)
      }
    })
  )

  it.live("fail, environment and pid say what they are for", () =>
    Effect.gen(function* () {
      const { child } = yield* ready()
      assert.isTrue((yield* child.call({ name: "fail", arguments: {} })).result?.isError)
      assert.deepStrictEqual(JSON.parse(yield* child.text("environment")), environment())
      assert.strictEqual(yield* child.text("pid"), String(child.pid))
    })
  )

  it.live("pid and environment of a server behind a shell are those of the server", () =>
    Effect.gen(function* () {
      const server = throughShell(yield* scripted({ exit: 9 }))
      const failing = yield* start(server)
      assert.strictEqual(yield* failing.exited, 0)
      const child = yield* start(throughShell(yield* scripted()))
      const pid = Number(yield* child.text("pid"))
      assert.sameMembers(pids(child.pid), [child.pid, pid])
      assert.notStrictEqual(pid, child.pid)
    })
  )

  it.live("exit, answerAndExit and kill end it: without, with and without an answer", () =>
    Effect.gen(function* () {
      for (const { answered, args, how, name } of [
        { name: "exit", args: { code: 5 }, answered: false, how: 5 },
        { name: "answerAndExit", args: { code: 6 }, answered: true, how: 6 },
        { name: "kill", args: { signal: "SIGABRT" }, answered: false, how: "SIGABRT" },
        { name: "kill", args: {}, answered: false, how: "SIGKILL" }
      ]) {
        const { child, server } = yield* ready()
        const calling = yield* Effect.forkChild(child.text(name, args), { startImmediately: true })
        assert.strictEqual(yield* child.exited, how)
        yield* child.stdoutEnded
        assert.strictEqual(child.stdout().includes('"id":2'), answered)
        if (answered) assert.strictEqual(yield* Fiber.join(calling), "done")
        assert.deepStrictEqual(yield* server.executions, [{ tool: name, arguments: args }])
      }
    })
  )

  it.live("answerAndExit loses nothing of an answer that is longer than a pipe", () =>
    Effect.gen(function* () {
      const { child } = yield* ready()
      const long = yield* Effect.forkChild(child.text("longLine", { bytes: 3_000_000 }), { startImmediately: true })
      yield* Effect.forkChild(child.text("answerAndExit", { code: 0 }), { startImmediately: true })
      assert.strictEqual((yield* Fiber.join(long)).length, 3_000_000)
      assert.strictEqual(yield* child.exited, 0)
      yield* child.stdoutEnded
      assert.include(child.stdout(), '"id":3')
    })
  )

  it.live("garbage and stderr write as much as they are told, before they answer", () =>
    Effect.gen(function* () {
      const { child } = yield* ready()
      const before = child.stdout()
      yield* child.text("garbage", { lines: 3 })
      const result = { content: [{ type: "text", text: "done" }] }
      assert.strictEqual(child.stdout(), `${before}${"Loading...\n".repeat(3)}${answer(2, result)}`)
      yield* child.text("stderr", { bytes: 160 })
      assert.strictEqual((yield* child.stderrUntil("flood end\n")).length, 170)
    })
  )

  it.live("writeAs writes what it is told, with the id and the answer of the call in it", () =>
    Effect.gen(function* () {
      const { child } = yield* ready()
      const before = child.stdout()
      yield* child.text("writeAs", { as: "call $id, $id: $answer\n" })
      const result = { content: [{ type: "text", text: "done" }] }
      assert.strictEqual(child.stdout(), `${before}call 2, 2: ${answer(2, result)}`)
    })
  )

  it.live("closeStdout ends its output, closeStdin refuses its input, and it lives on", () =>
    Effect.gen(function* () {
      const mute = yield* ready()
      assert.strictEqual(yield* mute.child.text("closeStdout"), "done")
      assert.isTrue(yield* mute.child.stdoutEnded)
      yield* Effect.forkChild(mute.child.text("stderr", { bytes: 80 }), { startImmediately: true })
      yield* mute.child.stderrUntil("flood end\n")

      const deaf = yield* ready()
      assert.strictEqual(yield* deaf.child.text("closeStdin"), "done")
      const write = Effect.sync(() => deaf.child.send("{}\n")).pipe(Effect.andThen(Effect.sleep(2)), Effect.forever)
      assert.strictEqual(yield* Effect.raceFirst(deaf.child.inputError, write), "EPIPE")
      assert.deepStrictEqual(pids(deaf.child.pid), [deaf.child.pid])
    })
  )
})

it.live("nothing is left of all that", () => leftovers.check)
