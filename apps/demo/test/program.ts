/** The program as a process, on its real servers. */
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { onTestFinished } from "vitest"

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url))

export interface Run {
  readonly child: ChildProcess
  readonly output: { stdout: string; stderr: string }
  /** exit code and signal */
  readonly ended: Promise<ReadonlyArray<unknown>>
  /** what it started and did not end; nothing, after a moment, unless something is wrong */
  readonly left: () => Promise<ReadonlyArray<string>>
}

export const start = async (...args: ReadonlyArray<string>): Promise<Run> => {
  // Marks this process and whatever comes of it, so that also what no longer has a parent is found.
  const leftovers = await Effect.runPromise(Leftovers.make())
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] })
  const output = { stdout: "", stderr: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text))
  const ended = once(child, "close")
  // A test that fails in its midst leaves nothing that others would find.
  onTestFinished(async () => {
    child.kill()
    await ended
  })
  const processes = Effect.map(leftovers.list, (found) => found.filter((one) => one.startsWith("process")))
  return { child, output, ended, left: () => Effect.runPromise(processes) }
}

/** Looks again until it holds. */
export const until = async (holds: () => boolean | Promise<boolean>) => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20))
}
