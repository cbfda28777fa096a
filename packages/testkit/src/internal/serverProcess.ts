/** The lives of one server on one port. */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import { join } from "node:path"
import type { Call, McpServer, Traits } from "../McpServer.ts"
import { ServerStartError } from "../McpServer.ts"
import * as Ports from "../Ports.ts"
import * as ExecutionLog from "./executionLog.ts"
import * as Processes from "./processes.ts"
import * as Temporary from "./temporary.ts"

export interface Launch {
  /** Arguments of `node`. */
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

export interface Options {
  readonly name: string
  readonly traits: Traits
  readonly echo: (message: string) => Call
  readonly slow: (seconds: number) => Call
  readonly launch: (port: number, executionLog: string) => Launch
  /** Whether the child has an IPC channel. Default: no. */
  readonly ipc?: boolean
  /** Called with each new process. */
  readonly onSpawn?: (child: ChildProcess) => void
}

export interface ServerProcess extends McpServer {
  /** Pids of all its processes that live now. */
  readonly members: () => ReadonlyArray<number>
  readonly child: () => ChildProcess | undefined
}

/** Starts it. When the scope closes, its processes, their descendants and its temporary files are gone. */
export const make = (options: Options): Effect.Effect<ServerProcess, ServerStartError, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* Temporary.directory
    const log = join(directory, "executions.jsonl")
    const mark = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const id = randomUUID()
        return { id, release: Processes.own(id) }
      }),
      ({ release }) => Effect.sync(release)
    )
    const members = () => Processes.marked(mark.id)
    let output = ""
    let current: { readonly child: ChildProcess; readonly closed: Promise<void>; spawnError?: unknown } | undefined
    const running = () => current !== undefined && current.child.exitCode === null && current.child.signalCode === null

    const kill = Effect.suspend(() =>
      Effect.andThen(Processes.killAll(members), current === undefined ? Effect.void : awaitClosed(current.closed))
    ).pipe(Effect.uninterruptible)

    const failure = (reason: ServerStartError["reason"]) =>
      new ServerStartError({ reason, server: options.name, output: output.slice(-2000) })

    const launch = (port: number) =>
      Effect.sync(() => {
        const { args, env } = options.launch(port, log)
        const child = spawn(process.execPath, args, {
          detached: true,
          env: { ...inherited(), ...env, ...Processes.environment(mark.id) },
          stdio: options.ipc === true ? ["ignore", "pipe", "pipe", "ipc"] : ["ignore", "pipe", "pipe"]
        })
        for (const stream of [child.stdout, child.stderr])
          stream?.setEncoding("utf8").on("data", (text: string) => {
            output = (output + text).slice(-16_384)
          })
        const closed = new Promise<void>((resolve) => {
          child.once("close", () => resolve())
          child.once("error", () => child.pid === undefined && resolve())
        })
        current = { child, closed }
        options.onSpawn?.(child)
      })

    /** One try: ready, or nothing of it is left. */
    const startOn = (port: number) =>
      Effect.andThen(
        launch(port),
        answers(port).pipe(
          Effect.mapError(() =>
            running() ? failure("timeout") : failure(current?.child.pid === undefined ? "spawn" : "exited")
          ),
          Effect.retry({
            schedule: Schedule.spaced("20 millis"),
            while: (error) => error.reason === "timeout"
          }),
          Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.fail(failure("timeout")) })
        )
      ).pipe(Effect.onError(() => kill))

    // A port that was free a moment ago may be an outgoing connection's by now.
    const portTaken = () => output.includes("EADDRINUSE")
    const port = yield* Effect.acquireRelease(
      Ports.free.pipe(Effect.tap(startOn), Effect.retry({ times: 1, while: portTaken })),
      () => kill,
      { interruptible: true }
    )
    const start = Effect.suspend(() =>
      running()
        ? Effect.void
        : Effect.retry(startOn(port), { times: 10, while: portTaken, schedule: Schedule.spaced("100 millis") })
    )

    return {
      name: options.name,
      port,
      url: `http://127.0.0.1:${port}/mcp`,
      traits: options.traits,
      echo: options.echo,
      slow: options.slow,
      members,
      child: () => (running() ? current?.child : undefined),
      pid: Effect.sync(() => current?.child.pid ?? 0),
      kill,
      start,
      restart: Effect.andThen(kill, start),
      freeze: Effect.sync(() => Processes.signal(members(), "SIGSTOP")),
      thaw: Effect.sync(() => Processes.signal(members(), "SIGCONT")),
      executions: Effect.sync(() => ExecutionLog.executions(log)),
      output: Effect.sync(() => output)
    }
  })

/** What a server needs of our environment; the rest (NODE_OPTIONS, a test runner's) would change its behaviour. */
const inherited = (): Record<string, string> => {
  const { HOME = "/", NODE_COMPILE_CACHE, PATH = "" } = process.env
  return { HOME, PATH, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }), ...Processes.watched() }
}

const awaitClosed = (closed: Promise<void>) => Effect.promise(() => closed)

/** Succeeds when an HTTP request to the port is answered, with whatever status. */
const answers = (port: number): Effect.Effect<void, "silent"> =>
  Effect.callback<void, "silent">((resume) => {
    const request = Http.get({ host: "127.0.0.1", port, path: "/", agent: false, timeout: 1000 }, (response) => {
      response.destroy()
      resume(Effect.void)
    })
    request.on("timeout", () => request.destroy())
    request.on("error", () => resume(Effect.fail("silent")))
    return Effect.sync(() => request.destroy())
  })
