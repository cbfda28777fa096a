/** Databases for a test: a Postgres from npm alone, and a real one where this machine has it. Each is a process of its own, can be frozen, and restarted. */
import { Database } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Scope } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, chownSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { exited, freePort, started } from "./process.ts"

export interface Storage {
  readonly port: number
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
  /** It crashes, and is there again with what was committed: after that time, or as soon as it can. */
  readonly restart: (away?: number) => Effect.Effect<void>
}

/** A folder for the scope. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-cluster-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

interface Running {
  readonly signal: Storage["signal"]
  /** without a word to anybody */
  readonly crash: Effect.Effect<void>
}

const restartable = (port: number, running: Effect.Effect<Running, never, Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.Scope
    const begin = Effect.gen(function* () {
      const own = yield* Scope.fork(scope)
      return { own, ...(yield* Scope.provide(running, own)) }
    })
    let now = yield* begin
    return {
      port,
      signal: (signal) => Effect.suspend(() => now.signal(signal)),
      restart: (away = 0) =>
        Effect.gen(function* () {
          yield* now.crash
          yield* Scope.close(now.own, Exit.void)
          yield* Effect.sleep(away)
          now = yield* begin
        })
    } satisfies Storage
  })

const killed = (child: ChildProcess, signal: NodeJS.Signals) =>
  Effect.andThen(
    Effect.sync(() => void child.kill(signal)),
    exited(child)
  )

/** One of a connection may have ended meanwhile. */
const send = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error
  }
}

/** PGlite behind its socket. */
export const pglite: Effect.Effect<Storage, never, Scope.Scope> = Effect.gen(function* () {
  const port = yield* freePort
  const data = join(yield* folder, "data")
  const running = Effect.map(started(Database.program, [String(port), data]), (child): Running => ({
    signal: (signal) => Effect.sync(() => void child.kill(signal)),
    crash: killed(child, "SIGKILL")
  }))
  return yield* restartable(port, running)
})

const binaries = globSync("/usr/lib/postgresql/*/bin")
  .toSorted()
  .concat((process.env["PATH"] ?? "").split(":"))
  .find((path) => existsSync(join(path, "initdb")) && existsSync(join(path, "postgres")))

const idsOf = (user: string) => {
  const id = (flag: string) => Number(execFileSync("id", [flag, user], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/** Root starts it as somebody else. */
const somebody = process.getuid?.() === 0 ? idsOf("nobody") : undefined

/** Why there is no real Postgres here; `undefined` where there is one. */
export const noPostgres = binaries === undefined ? "no Postgres on this machine" : undefined

/** A real Postgres, as another user than root, which it refuses. */
export const postgres: Effect.Effect<Storage, never, Scope.Scope> = Effect.gen(function* () {
  const at = yield* folder
  if (somebody !== undefined) chownSync(at, somebody.uid, somebody.gid)
  chmodSync(at, 0o700)
  const data = join(at, "data")
  const port = yield* freePort
  const bin = (name: string) => join(binaries ?? "", name)
  const options = { ...somebody, cwd: at }
  const first = ["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]
  execFileSync(bin("initdb"), first, { ...options, stdio: "ignore" })

  const running = Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", `port=${port}`]
      const child = spawn(bin("postgres"), ["-D", data, ...settings.flatMap((setting) => ["-c", setting])], {
        ...options,
        stdio: ["ignore", "ignore", "pipe"]
      })
      let told = ""
      child.once("exit", () => resume(Effect.die(new Error(`postgres ended: ${told}`))))
      child.stderr.on("data", (part: Buffer) => {
        told = `${told}${part}`.slice(-4000)
        if (told.includes("ready to accept connections")) resume(Effect.succeed(child))
      })
    }),
    // "immediate": its children end with it
    (child) => killed(child, "SIGQUIT")
  ).pipe(
    Effect.map((child): Running => {
      // Each connection is a process of its own, and goes on without the first one.
      const all = () => [
        child.pid!,
        ...readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").map(Number)
      ]
      return {
        signal: (signal) =>
          Effect.sync(() => {
            for (const pid of all()) send(pid, signal)
          }),
        crash: killed(child, "SIGQUIT")
      }
    })
  )
  return yield* restartable(port, running)
})

/** By name, and why one cannot be had here. */
export const storages: ReadonlyArray<{
  readonly name: string
  readonly storage: typeof pglite
  readonly missing: string | undefined
}> = [
  { name: "PGlite", storage: pglite, missing: undefined },
  { name: "a real Postgres", storage: postgres, missing: noPostgres }
]
