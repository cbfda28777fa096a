/** The built program as a process: arguments and stdin go in; stdout, stderr and the exit code come out. */
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { onTestFinished } from "vitest"

/** The program, built. */
export const bin = fileURLToPath(new URL("../../dist/bin.js", import.meta.url))

export interface Options {
  /** variables of its environment beside those of this process; `undefined` takes one away */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly cwd?: string | undefined
}

/** A program that runs. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  /** what it has written so far */
  readonly output: { stdout: string; stderr: string }
  /** its exit code, or the signal that ended it */
  readonly ended: Promise<number | string>
  /** processes that it started and that still run */
  readonly left: () => Promise<ReadonlyArray<string>>
}

/** Starts it; where the test ends first, it is killed. */
export const start = async (args: ReadonlyArray<string>, { cwd, env = {} }: Options = {}): Promise<Running> => {
  // marks this process and whatever comes of it, so that also what no longer has a parent is found
  const leftovers = await Effect.runPromise(Leftovers.make())
  const child = spawn(process.execPath, [bin, ...args], { cwd, env: { ...process.env, ...env }, stdio: "pipe" })
  const output = { stdout: "", stderr: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text))
  child.stdin.on("error", () => {})
  const ended = once(child, "close").then(([code, signal]) => code ?? signal)
  onTestFinished(async () => {
    child.kill("SIGKILL")
    await ended
  })
  const processes = Effect.map(leftovers.list, (found) => found.filter((one) => one.startsWith("process")))
  return { child, output, ended, left: () => Effect.runPromise(processes) }
}

/** How a program ended. */
export interface Ended {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** Runs it to its end, without stdin. */
export const run = async (args: ReadonlyArray<string>, options?: Options): Promise<Ended> => {
  const { child, ended, output } = await start(args, options)
  child.stdin.end()
  const code = await ended
  return { code, ...output }
}

/** Looks again until it holds; that it ever does is what the bound of the test is for. */
export const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** A folder of the test's own, with these files in it. */
export const folderWith = async (files: Readonly<Record<string, unknown>>): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "vmcp-keepalive-cli-"))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), textOf(content))
  return folder
}

const textOf = (content: unknown): string => (typeof content === "string" ? content : JSON.stringify(content))
