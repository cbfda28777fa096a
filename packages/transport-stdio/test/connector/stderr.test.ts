/** stderr is always read, whoever reads along; of it is kept what the bounds allow. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { median } from "../timing.ts"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber, Stream } from "effect"
import {
  call,
  collectStderr,
  connectorOf,
  eventually,
  failing,
  growth,
  measured,
  open,
  opening,
  promise
} from "./support.ts"
import type { StdioConnector } from "../../src/index.ts"

const { scripted } = StdioServers

/** The testkit's numbered lines. */
const flooded = (index: number) => `flood ${String(index).padStart(9, "0")} `.padEnd(79, "x")

promise("a flood of 100 MB holds up no call, costs no memory, and the last lines of it are told of a death", () =>
  Effect.gen(function* () {
    const bytes = 100_000_000
    const lines = bytes / 80
    const server = yield* scripted({ stderrFlood: bytes })
    const connector = connectorOf(server)
    const flood = yield* connector.stderr.pipe(
      Stream.takeUntil((line) => line === "flood end"),
      Stream.runDrain,
      Effect.forkChild({ startImmediately: true })
    )
    const began = performance.now()
    const { group, host, session } = yield* open(connector)
    const took: Array<number> = []
    const echo = Effect.gen(function* () {
      const answer = yield* call(session, server.echo(`${took.length}`))
      expect(answer.text).toBe(`Echo: ${took.length}`)
      took.push(answer.took)
    })
    const { grown } = yield* growth(Effect.repeat(echo, { while: () => flood.pollUnsafe() === undefined }))
    measured(`a flood of 100 MB, ${took.length} calls meanwhile`, performance.now() - began)
    const meanwhile = took.splice(0)
    yield* Effect.repeat(echo, { times: 100 })
    measured("one of them", median(meanwhile))
    measured("one without the flood", median(took))
    // Each waits for what was read with it, and not for the flood: some 500 are answered within it, on a busy machine as on another one.
    expect(meanwhile.length).toBeGreaterThan(100)
    measured("memory grown meanwhile", grown / 1e6, "MB")
    expect(grown).toBeLessThan(64e6)
    ProcessGroups.signal(group, "SIGKILL")
    yield* eventually(() => host.losses.length > 0, "the loss")
    const output = [...Array.from({ length: 49 }, (_, index) => flooded(lines - 48 + index)), "flood end"]
    expect(host.losses).toMatchObject([{ detail: { summary: "signal SIGKILL", output } }])
  })
)

promise("a reader that keeps up gets every line of a burst, in order", () =>
  Effect.gen(function* () {
    const { args, command } = StdioServers.throughShell(yield* scripted())
    for (const count of [5000, 50_000]) {
      const connector = connectorOf({ command, args: ["-c", `seq 1 ${count} >&2; ${args[1]}`] })
      const written = yield* collectStderr(connector)
      const { close } = yield* open(connector)
      yield* eventually(() => written.at(-1) === `${count}`, "the last line")
      expect(written).toEqual(Array.from({ length: count }, (_, index) => `${index + 1}`))
      yield* close
    }
  })
)

promise("a reader that does not keep up, and one that has gone, never hold up the server", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const connector = connectorOf(server)
    const read: Array<string> = []
    let release = () => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    const slow = yield* connector.stderr.pipe(
      Stream.takeUntil((line) => line === "flood end"),
      Stream.runForEach((line) => {
        read.push(line)
        return Effect.promise(() => released)
      }),
      Effect.forkChild({ startImmediately: true })
    )
    const gone = yield* Effect.forkChild(Stream.runDrain(connector.stderr), { startImmediately: true })
    yield* Fiber.interrupt(gone)
    const { session } = yield* open(connector)
    const flood = { name: "stderr", arguments: { bytes: 8_000_000 } }
    expect((yield* call(session, flood)).text).toBe("done")
    // The answer comes on another pipe, so the last lines may still be under way.
    expect((yield* call(session, server.echo("after it"))).text).toBe("Echo: after it")
    yield* eventually(() => read.length > 0, "a line")
    release()
    yield* Fiber.join(slow)
    expect(read[0]).toBe(flooded(1))
    // what it had taken already, and what it is behind, each of about 1 MiB
    expect(read.length).toBeGreaterThan(2 ** 19 / 80)
    expect(read.length).toBeLessThanOrEqual((2 * 2 ** 20) / 80)
    expect(read.slice(-2)).toEqual([flooded(100_000), "flood end"])
  })
)

promise("what is kept holds to the bounds of lines and bytes that were set", () =>
  Effect.gen(function* () {
    const lines = Array.from({ length: 60 }, (_, index) => `line ${String(index).padStart(5, "0")}`)
    const kept = Effect.fnUntraced(function* (stderr: StdioConnector.Options["stderr"]) {
      const server = yield* scripted({ stderr: lines, exit: 1 })
      return (yield* failing(connectorOf(server, { stderr }))).detail?.output
    })
    expect(yield* kept({})).toEqual(lines.slice(-50))
    expect(yield* kept({ lines: undefined, bytes: undefined })).toEqual(lines.slice(-50))
    expect(yield* kept({ lines: 60 })).toEqual(lines)
    expect(yield* kept({ lines: 3 })).toEqual(lines.slice(-3))
    expect(yield* kept({ bytes: 49 })).toEqual(lines.slice(-4))
    expect(yield* kept({ lines: 0 })).toEqual([])
  })
)

promise("every reader gets the lines of every session of the connector, and of no other one", () =>
  Effect.gen(function* () {
    const server = yield* scripted({ stderr: ["hello"] })
    const connector = connectorOf(server)
    const one = yield* collectStderr(connector)
    const two = yield* collectStderr(connector)
    yield* open(connector)
    yield* open(connectorOf(server))
    yield* open(connector)
    yield* eventually(() => one.length === 2 && two.length === 2, "two lines each")
    expect([one, two]).toEqual([
      ["hello", "hello"],
      ["hello", "hello"]
    ])
  })
)

promise("what a server writes to stderr is life: a server at work reports its progress there", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { host, session } = yield* open(connectorOf(server))
    const before = host.chunks()
    yield* call(session, { name: "stderr", arguments: { bytes: 1_000_000 } })
    // far more than the pieces of one answer
    expect(host.chunks() - before).toBeGreaterThan(5)
  })
)

promise("what a server wrote last can be read while it asks a question instead of shaking hands", () =>
  Effect.gen(function* () {
    const server = { command: "sh", args: ["-c", "echo hello >&2; printf 'Enter your token: ' >&2; cat >/dev/null"] }
    const { close, host } = yield* opening(connectorOf(server))
    yield* eventually(() => host.last().length === 2, "the question")
    expect(host.last()).toEqual(["hello", "Enter your token: "])
    yield* close
    expect(host.losses).toEqual([])
  })
)
