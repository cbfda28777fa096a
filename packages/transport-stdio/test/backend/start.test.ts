/** Servers that do not come up: what callers and observers are told, and what they are not. */
import { assert, describe } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { Backend, type BackendError, KeepaliveEvent } from "@vmcp-keepalive/core"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Cause, Clock, Duration, Effect, Exit, Fiber, FileSystem, Inspectable, Redacted, Stream } from "effect"
import { StdioConnector } from "../../src/index.ts"
import { fast } from "./clock.ts"
import { is, isRenewed, keep, only, promise, quickShutdown, text, together } from "./support.ts"

const { scripted } = StdioServers

/** A call that no server will ever get. */
const call = { name: "echo", arguments: { message: "to nobody" } }

/** The error of a call that was not executed. */
const denied = (error: BackendError.CallError) => {
  assert(error._tag === "SessionUnavailable" || error._tag === "CallRejected", error._tag)
  return error
}

describe("a child that exits at once", () => {
  const promise = together()

  promise("rejects the calls that wait, with its exit code and its last lines, as soon as the circuit opens", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ stderr: ["no database", "giving up"], exit: 1 })
      const kept = yield* keep(server, { await: false })
      const error = denied(yield* Effect.flip(kept.call(call)))
      assert.strictEqual(error._tag, "CallRejected")
      assert.strictEqual(error.reason, "process_exit")
      assert.deepStrictEqual(error.detail, {
        summary: "exit code 1 during the handshake",
        output: ["no database", "giving up"]
      })
      const failed = only(kept.events, "AttemptFailed").map(({ detail, reason }) => [reason, detail])
      assert.deepStrictEqual(
        failed,
        Array.from({ length: 3 }, () => ["process_exit", "exit code 1 during the handshake"])
      )
      assert.strictEqual(yield* server.starts, 3)
      assert.deepStrictEqual(yield* server.executions, [])
    })
  )

  promise("leaves a call no hope when the next attempt is due later than it may wait", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ stderr: ["no database"], exit: 1 })
      const kept = yield* keep(server, { await: false, policy: { backoff: { initial: "1 minute", cap: "1 minute" } } })
      const error = denied(yield* Effect.flip(kept.call(call)))
      assert.strictEqual(error._tag, "SessionUnavailable")
      assert.deepStrictEqual(
        [error.reason, error.detail],
        ["process_exit", { summary: "exit code 1 during the handshake", output: ["no database"] }]
      )
      assert.isAbove(Duration.toSeconds(error.retryAfter ?? 0), 30)
      assert.strictEqual(yield* server.starts, 1)
    })
  )

  promise("that does so when initialize arrives is told by its own code", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ dieOn: "initialize" })
      const kept = yield* keep(server, { await: false })
      const error = denied(yield* Effect.flip(kept.call(call)))
      assert.deepStrictEqual(
        [error.reason, error.detail?.summary],
        ["process_exit", "exit code 3 during the handshake"]
      )
    })
  )

  promise("that is killed in its start is told by the signal", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ startDelay: 60_000 })
      const kept = yield* keep(server, { await: false, policy: { circuit: { failures: 1 } } })
      yield* Effect.repeat(server.starts, { until: (starts) => starts === 1 })
      kept.signal("SIGKILL")
      const { detail, reason } = yield* kept.event("AttemptFailed")
      assert.deepStrictEqual([reason, detail], ["process_exit", "signal SIGKILL during the handshake"])
    })
  )
})

describe("a child that never answers", () => {
  const promise = together()

  promise("is ended after connectTimeout, before the next one starts", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ stderr: ["waiting"], silent: true, ignoreEof: true, ignoreTerm: true })
      const policy = { connectTimeout: "500 millis", circuit: { failures: 2, openFor: "1 hour" } } as const
      const kept = yield* keep(server, { await: false, policy, connector: { shutdown: quickShutdown } })
      const error = denied(yield* Effect.flip(kept.call(call)))
      assert.deepStrictEqual([error._tag, error.reason], ["CallRejected", "timeout"])
      assert.deepStrictEqual(error.detail, { summary: undefined, output: ["waiting"] })
      assert.deepStrictEqual(
        kept.spawns.map(({ others }) => others),
        [[], []]
      )
      for (const { pid } of kept.spawns) yield* Effect.timeout(ProcessGroups.awaitGone(pid), "5 seconds")
      assert.deepStrictEqual(yield* server.executions, [])
    })
  )

  promise("has the two minutes of the transport where the policy says nothing", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ silent: true })
      const kept = yield* Effect.provideService(
        keep(server, { await: false, policy: "default" }),
        Clock.Clock,
        yield* fast(60)
      )
      const { duration, reason } = yield* kept.event("AttemptFailed")
      assert.strictEqual(reason, "timeout")
      assert.isAtLeast(Duration.toSeconds(duration), 120)
      // a second of the real clock later
      assert.isAtMost(Duration.toSeconds(duration), 180)
    })
  )

  promise("but takes its time is waited for", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ startDelay: 1500 })
      const kept = yield* keep(server, { await: false })
      assert.include(text(yield* kept.call({ name: "echo", arguments: { message: "at last" } })), "at last")
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
    })
  )
})

promise("what the server wrote is in the error's output only, and what is redacted nowhere at all", () =>
  Effect.gen(function* () {
    const [token, key] = ["r3dacted-token", "r3dacted-key"]
    const script = 'echo "stderr-text $TOKEN $1 stderr-end" >&2; exit 1'
    const kept = yield* keep(
      { name: "secretive", command: "sh", args: [] },
      {
        await: false,
        connector: { args: ["-c", script, "sh", Redacted.make(key)], env: { TOKEN: Redacted.make(token) } }
      }
    )
    const lines = yield* Effect.forkChild(Stream.runCollect(Stream.take(kept.connector.stderr, 1)))
    const exit = yield* Effect.exit(kept.call(call))
    assert(Exit.isFailure(exit))
    const error = denied(Effect.runSync(Effect.flip(exit)))
    assert.deepStrictEqual(error.detail?.output, ["stderr-text <redacted> <redacted> stderr-end"])
    const shown = [
      error.message,
      String(error),
      error.stack,
      Cause.pretty(exit.cause),
      Inspectable.toStringUnknown(kept.events)
    ]
    assert.notInclude(shown.join(), "stderr-text")
    assert.include(shown.join(), "exit code 1")
    const told = yield* Fiber.join(lines)
    const everything = [...shown, text(error), Inspectable.toStringUnknown(exit), ...told].join()
    assert.include(everything, "stderr-text")
    assert.notMatch(everything, /r3dacted/)
  })
)

promise("settings that name nothing startable are an error of Backend.make, all at once, and nothing is started", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    const file = `${directory}/server`
    yield* fs.writeFileString(file, "#!/bin/sh\n")
    const events: Array<unknown> = []
    const issuesOf = (options: StdioConnector.Options) =>
      Backend.make({ id: "wrong", connector: StdioConnector.make(options), policy: { interval: "1 milli" } }).pipe(
        Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))),
        Effect.flip,
        Effect.map((error) => {
          assert.strictEqual(error._tag, "ConfigurationError")
          assert.notInclude(error.message, directory)
          return error.issues.map(({ expected, path }) => [path.join("."), expected])
        })
      )
    const interval = ["policy.interval", "a duration of 1 second to 24 hours"]
    const cases: ReadonlyArray<readonly [StdioConnector.Options, ReadonlyArray<string>]> = [
      [{ command: "no-such-command" }, ["connector.command", "a command that exists, in PATH"]],
      [{ command: `${directory}/missing` }, ["connector.command", "a command that exists"]],
      [{ command: file }, ["connector.command", "an executable file"]],
      [{ command: directory }, ["connector.command", "an executable file"]],
      [{ command: "sh", cwd: `${directory}/missing` }, ["connector.cwd", "a directory that exists"]],
      [{ command: "sh", cwd: file }, ["connector.cwd", "a directory"]]
    ]
    for (const [options, issue] of cases) assert.deepStrictEqual(yield* issuesOf(options), [issue, interval])
    const many = { command: "", cwd: "", env: { KEY: "\0" }, shutdown: { end: -1 }, limits: { messageBytes: 1 } }
    const paths = (yield* issuesOf(many)).map(([path]) => path)
    assert.deepStrictEqual(paths, [
      "connector.command",
      "connector.env.KEY",
      "connector.cwd",
      "connector.shutdown.end",
      "connector.limits.messageBytes",
      "policy.interval"
    ])
    assert.deepStrictEqual(events, [])
    assert.deepStrictEqual(ProcessGroups.children(), [])
  })
)

promise(
  "a command or directory that disappears later is a failed attempt that names no path, and returns with it",
  () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const [cwd, file] = [`${directory}/cwd`, `${directory}/server`]
      const server = yield* scripted()
      const install = Effect.gen(function* () {
        yield* fs.writeFileString(file, '#!/bin/sh\nexec "$@"\n')
        yield* fs.chmod(file, 0o755)
        yield* fs.makeDirectory(cwd, { recursive: true })
      })
      yield* install
      const kept = yield* keep(
        { name: "vanishing", command: file, args: [server.command, ...server.args] },
        { connector: { cwd } }
      )
      const cases = [
        [fs.remove(file), "the command or its interpreter does not exist"],
        [fs.chmod(file, 0o644), "the command may not be executed"],
        [fs.remove(cwd, { recursive: true }), "the working directory does not exist"]
      ] as const
      for (const [index, [disappear, summary]] of cases.entries()) {
        yield* kept.call(server.echo("stable"))
        yield* disappear
        const killedAt = kept.signal("SIGKILL")
        const failed = yield* kept.event("AttemptFailed", killedAt)
        assert.deepStrictEqual([failed.reason, failed.detail], ["spawn", summary])
        const error = denied(yield* Effect.flip(kept.call(call)))
        assert.deepStrictEqual([error.reason, error.detail], ["spawn", { summary, output: [] }])
        assert.notInclude(error.message + text(error), directory)
        yield* kept.until(is("CircuitOpen"))
        yield* install
        yield* kept.until(isRenewed(index + 1))
      }
      assert.strictEqual(kept.spawns.length, 4)
      assert.strictEqual(yield* server.starts, 4)
      assert.notInclude(Inspectable.toStringUnknown(kept.events), directory)
    })
)
