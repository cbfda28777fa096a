/** Programs that serve: each is a process of its own that says where it listens, as one object of JSON on a line. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import type { Weight } from "./Held.ts"

export interface Options {
  /** whether {@link weight} may be asked of it; default: no, and then it runs as its users run it */
  readonly isWeighed?: boolean
}

/** One that listens. */
export interface Started<Said> {
  readonly said: Said
  readonly pid: number
  /** What it weighs, once its garbage is collected. */
  readonly weight: Effect.Effect<Weight>
}

/** What a program needs of this process's environment; the rest may change what it does. */
const environment = () => {
  const { HOME = "/", PATH = "" } = process.env
  return { HOME, PATH }
}

const weighing = ["--expose-gc", `--import=${import.meta.resolve("./programs/weighed.js")}`]

/** Starts one, which is asked to end with the scope. Dies where it ends by itself before it listens, with what it wrote to stderr. */
export const start = <Said>(
  file: string,
  args: ReadonlyArray<string>,
  { isWeighed = false }: Options = {}
): Effect.Effect<Started<Said>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [...(isWeighed ? weighing : []), file, ...args], {
          env: environment(),
          stdio: ["ignore", "pipe", "pipe", ...(isWeighed ? (["ipc"] as const) : [])]
        })
      ),
      (child) => Effect.promise(() => ended(child))
    )
    const said = yield* Effect.promise(() => firstLine<Said>(child))
    return { said, pid: child.pid ?? 0, weight: Effect.promise(() => weigh(child)) }
  })

const firstLine = async <Said>(child: ChildProcess): Promise<Said> => {
  const { stderr, stdout } = child
  if (stdout === null || stderr === null) throw new Error("it has no pipes")
  let told = ""
  // read to its end, so that it never waits
  stderr.setEncoding("utf8").on("data", (text: string) => (told = (told + text).slice(-2000)))
  const lines = createInterface({ input: stdout })
  const line = once(lines, "line").then(([first]): Said => JSON.parse(first))
  const gone = once(child, "exit").then(() => Promise.reject(new Error(`${child.spawnfile} ended: ${told}`)))
  return Promise.race([line, gone])
}

const weigh = async (child: ChildProcess): Promise<Weight> => {
  const answer = once(child, "message").then(([weight]): Weight => weight)
  child.send("weigh")
  return answer
}

/** By SIGTERM, after five seconds by SIGKILL. */
const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, "exit")
  child.kill("SIGTERM")
  const late = setTimeout(() => child.kill("SIGKILL"), 5000)
  await exit
  clearTimeout(late)
}

/** The CPU that all threads of a process have taken, in microseconds. Needs /proc, so Linux. */
export const cpuOf = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    const [nanoseconds = "0"] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")
    return sum + Number(nanoseconds) / 1000
  }, 0)
