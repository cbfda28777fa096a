/** What is wrong with the settings is told before anything is started. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Redacted } from "effect"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { vi } from "vitest"
import { StdioConnector } from "../../src/index.ts"
import { connectorOf, makeHost, open, promise } from "./support.ts"

/** Whether there is one for watchdogs. */
const shell = { exists: true }
vi.mock("node:fs", async (importOriginal) => {
  const original = await importOriginal<typeof import("node:fs")>()
  const statSync = (path: string) => original.statSync(path === "/bin/sh" && !shell.exists ? "/nowhere/sh" : path)
  return { ...original, statSync }
})

const secret = "hunter2-4711"

/** A directory with a file that may be executed, one that may not, and a directory. */
const directory = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "vmcp-settings-"))
    for (const name of ["tool", "text"]) writeFileSync(join(path, name), "#!/bin/sh\n")
    chmodSync(join(path, "tool"), 0o755)
    chmodSync(join(path, "text"), 0o644)
    mkdirSync(join(path, "bin"))
    writeFileSync(join(path, "bin", "inner"), "#!/bin/sh\n", { mode: 0o755 })
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/** This process takes itself for one on Windows meanwhile. */
const onWindows = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const { platform } = process
  const take = (value: string) => Effect.sync(() => Object.defineProperty(process, "platform", { value }))
  return Effect.ensuring(Effect.andThen(take("win32"), effect), take(platform))
}

/** The issues of settings; none of them may repeat a value. */
const issuesOf = (options: StdioConnector.Options) =>
  Effect.map(StdioConnector.make(options).issues, (issues) => {
    expect(JSON.stringify(issues)).not.toContain(secret)
    return issues.map(({ path }) => path.join("."))
  })

promise("every wrong setting is told with its path, all of them at once, and without a value", () =>
  Effect.gen(function* () {
    const wrong: ReadonlyArray<readonly [string, Partial<StdioConnector.Options>]> = [
      ["connector.command", { command: "" }],
      ["connector.command", { command: `${secret}\0` }],
      ["connector.args.1", { args: [secret, `${secret}\0`] }],
      ["connector.args.0", { args: [Redacted.make(`${secret}\0`)] }],
      ["connector.env.KEY", { env: { KEY: `${secret}\0` } }],
      ["connector.env.KEY", { env: { KEY: Redacted.make(`\0${secret}`) } }],
      // somebody took the whole assignment for the name
      ["connector.env.KEY", { env: { [`KEY=${secret}`]: "" } }],
      ["connector.env.KEY", { env: { [`KEY\0${secret}`]: "" } }],
      ["connector.env.", { env: { "": secret } }],
      ["connector.cwd", { cwd: "" }],
      ["connector.cwd", { cwd: `${secret}\0` }],
      ["connector.shutdown.end", { shutdown: { end: Infinity } }],
      ["connector.shutdown.term", { shutdown: { term: -1 } }],
      ["connector.shutdown.kill", { shutdown: { kill: "-1 seconds" } }],
      ["connector.stderr.lines", { stderr: { lines: -1 } }],
      ["connector.stderr.lines", { stderr: { lines: 1.5 } }],
      ["connector.stderr.bytes", { stderr: { bytes: Infinity } }],
      ["connector.limits.messageBytes", { limits: { messageBytes: 64 * 1024 - 1 } }],
      ["connector.limits.messageBytes", { limits: { messageBytes: 2 ** 29 } }],
      ["connector.limits.messageBytes", { limits: { messageBytes: Number.NaN } }],
      ["connector.limits.containers", { limits: { containers: 999 } }],
      ["connector.limits.entries", { limits: { entries: 0 } }],
      ["connector.limits.pages", { limits: { pages: 1.5 } }],
      ["connector.limits.serverRequests", { limits: { serverRequests: 0 } }],
      ["connector.limits.serverRequestsPerSecond", { limits: { serverRequestsPerSecond: 100_001 } }],
      ["connector.limits.answerTimeout", { limits: { answerTimeout: "99 millis" } }],
      ["connector.limits.answerTimeout", { limits: { answerTimeout: "11 minutes" } }],
      ["connector.limits.unwrittenBytes", { limits: { unwrittenBytes: 1024 } }]
    ]
    for (const [path, options] of wrong) expect(yield* issuesOf({ command: "node", ...options })).toEqual([path])
    const all = {
      command: "",
      args: ["\0"],
      env: { "=": secret },
      cwd: "",
      shutdown: { end: -1, term: -1, kill: -1 },
      stderr: { lines: -1, bytes: -1 },
      limits: { messageBytes: 0, unwrittenBytes: Infinity }
    }
    expect(yield* issuesOf(all)).toEqual([
      "connector.command",
      "connector.args.0",
      "connector.env.",
      "connector.cwd",
      "connector.shutdown.end",
      "connector.shutdown.term",
      "connector.shutdown.kill",
      "connector.stderr.lines",
      "connector.stderr.bytes",
      "connector.limits.messageBytes",
      "connector.limits.unwrittenBytes"
    ])
  })
)

promise("a limit that is wrong is told with its range, and one that does not exist with those that do", () =>
  Effect.gen(function* () {
    const of = (limits: object) => StdioConnector.make({ command: "node", limits }).issues
    expect(yield* of({ messageBytes: 1, answerTimeout: "1 day", containers: undefined })).toEqual([
      { path: ["connector", "limits", "messageBytes"], expected: "a whole number from 65536 to 268435456" },
      { path: ["connector", "limits", "answerTimeout"], expected: "a duration from 100 ms to 600 s" }
    ])
    expect(yield* of({ maxLineBytes: 1 })).toEqual([
      {
        path: ["connector", "limits", "maxLineBytes"],
        expected:
          "one of messageBytes, probeBytes, containers, members, entries, pages, serverRequests, serverRequestsPerSecond, answerTimeout, unwrittenBytes"
      }
    ])
  })
)

promise("a command that cannot be executed is told as its system would look for it, in PATH or from cwd", () =>
  Effect.gen(function* () {
    const cwd = yield* directory
    const asked = (command: string, options: Partial<StdioConnector.Options> = {}) =>
      Effect.map(StdioConnector.make({ command, ...options }).issues, (issues) =>
        issues.map(({ expected, path }) => `${path.join(".")}: ${expected}`)
      )
    const exists = "connector.command: a command that exists"
    const executable = "connector.command: an executable file"
    expect(yield* asked(`${secret}`)).toEqual([`${exists}, in PATH`])
    expect(yield* asked(`./${secret}`)).toEqual([exists])
    expect(yield* asked(join(cwd, secret))).toEqual([exists])
    // relative to the directory of the child, not to ours
    expect(yield* asked("./tool", { cwd })).toEqual([])
    expect(yield* asked("bin/inner", { cwd })).toEqual([])
    expect(yield* asked("./tool")).toEqual([exists])
    expect(yield* asked(join(cwd, "tool"), { cwd: "/" })).toEqual([])
    expect(yield* asked("./text", { cwd })).toEqual([executable])
    expect(yield* asked("./bin", { cwd })).toEqual([executable])
    // only the child's own PATH counts
    expect(yield* asked("tool", { cwd })).toEqual([`${exists}, in PATH`])
    expect(yield* asked("tool", { env: { PATH: `/nowhere:${cwd}` } })).toEqual([])
    expect(yield* asked("text", { env: { PATH: cwd } })).toEqual([executable])
    expect(yield* asked("node", { env: { PATH: cwd } })).toEqual([`${exists}, in PATH`])
    expect(yield* asked("inner", { cwd, env: { PATH: "bin" } })).toEqual([])
    expect(yield* asked("tool", { cwd, env: { PATH: "/nowhere:" } })).toEqual([])
    expect(yield* asked("inner", { env: { PATH: "bin" } })).toEqual([`${exists}, in PATH`])
    expect(yield* asked("tool", { env: { PATH: Redacted.make(cwd) } })).toEqual([])
    expect(yield* asked("sh")).toEqual([])
  })
)

promise("a watchdog where there is no shell for it is told as such", () =>
  Effect.gen(function* () {
    const { args, command } = yield* StdioServers.scripted()
    const issuesOf = (watchdog: boolean) => StdioConnector.make({ command, args, watchdog }).issues
    const without = (watchdog: boolean) =>
      Effect.acquireUseRelease(
        Effect.sync(() => (shell.exists = false)),
        () => issuesOf(watchdog),
        () => Effect.sync(() => (shell.exists = true))
      )
    expect(yield* without(true)).toEqual([
      { path: ["connector", "watchdog"], expected: "a system with a shell at /bin/sh" }
    ])
    expect(yield* without(false)).toEqual([])
    expect(yield* issuesOf(true)).toEqual([])
    expect(yield* onWindows(issuesOf(true))).toEqual([
      { path: ["connector", "watchdog"], expected: "to be left out on Windows" }
    ])
    expect(yield* onWindows(issuesOf(false))).toEqual([])
  })
)

promise("what is told to be right can be started, and what is not cannot", () =>
  Effect.gen(function* () {
    const cwd = yield* directory
    // They end at once, so the handshake tells whether they ran.
    const started = (options: StdioConnector.Options) =>
      Effect.gen(function* () {
        const connector = StdioConnector.make(options)
        const isRight = (yield* connector.issues).length === 0
        const evidence = yield* Effect.flip(Effect.scoped(connector.open(makeHost())))
        expect(evidence).toMatchObject({ reason: isRight ? "process_exit" : "spawn" })
        return evidence
      })
    const failure = (summary: string, code: string) => ({
      _tag: "TransportFailure",
      reason: "spawn",
      detail: { summary, output: [] },
      code
    })
    for (const options of [
      { command: "./tool", cwd },
      { command: "tool", env: { PATH: cwd } },
      { command: "inner", cwd, env: { PATH: "bin" } },
      { command: "tool", cwd, env: { PATH: "" } }
    ])
      yield* started(options)
    const missing = failure("the command or its interpreter does not exist", "ENOENT")
    expect(yield* started({ command: secret })).toEqual(missing)
    expect(yield* started({ command: "./tool" })).toEqual(missing)
    expect(yield* started({ command: "inner", env: { PATH: "bin" } })).toEqual(missing)
    expect(yield* started({ command: "./text", cwd })).toEqual(failure("the command may not be executed", "EACCES"))
    expect(yield* started({ command: "./bin", cwd })).toEqual(failure("the command may not be executed", "EACCES"))
    const gone = join(cwd, secret)
    expect(yield* started({ command: "node", cwd: gone })).toEqual(
      failure("the working directory does not exist", "ENOENT")
    )
  })
)

promise("a cwd that is no directory is told, and a right setting has no issue; nothing was started for it", () =>
  Effect.gen(function* () {
    const path = yield* directory
    const server = yield* StdioServers.scripted()
    expect(yield* connectorOf(server, { cwd: join(path, secret) }).issues).toEqual([
      { path: ["connector", "cwd"], expected: "a directory that exists" }
    ])
    expect(yield* connectorOf(server, { cwd: join(path, "tool") }).issues).toEqual([
      { path: ["connector", "cwd"], expected: "a directory" }
    ])
    const right = connectorOf(server, {
      cwd: path,
      env: { TOKEN: Redacted.make(secret), EMPTY: "" },
      shutdown: { end: 0, term: "1 second", kill: { seconds: 1 } },
      stderr: { lines: 0, bytes: 0 },
      limits: {
        messageBytes: 64 * 1024,
        probeBytes: 1024,
        containers: 1000,
        entries: 1,
        pages: 1,
        serverRequests: 1,
        serverRequestsPerSecond: 1,
        answerTimeout: "10 minutes",
        unwrittenBytes: 1024 ** 3
      },
      watchdog: true
    })
    expect(yield* right.issues).toEqual([])
    expect(yield* server.starts).toBe(0)
    // That it can be seen: this one is started.
    yield* open(right)
    expect(yield* server.starts).toBe(1)
  })
)
