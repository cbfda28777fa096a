/** Programs in one of the folders, and the server that they talk to. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

/** How a program ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, for 50 s at most unless it may take longer (in milliseconds). */
export const run = (command: string, args: ReadonlyArray<string>, cwd: string, timeout = 50_000): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(command, args, { cwd, timeout }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1
      resolve({ code, stdout, stderr })
    })
  })

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** How long compiling may take on a busy machine, in milliseconds: it takes 5 s on one that is not. */
export const compileTimeout = 170_000

/**
 * Compiles files of a folder with the settings of this repository, and with the packages that are installed there; what is wrong, line
 * by line.
 */
export const compile = async (
  folder: string,
  files: ReadonlyArray<string>,
  settings: { readonly skipLibCheck: boolean }
): Promise<ReadonlyArray<string>> => {
  const config = {
    extends: fromHere("../../../tsconfig.test.json"),
    compilerOptions: { ...settings, typeRoots: [fromHere("../node_modules/@types")] },
    files
  }
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config))
  const compiler = fromHere("../../../node_modules/typescript/bin/tsc")
  const { code, stderr, stdout } = await run(process.execPath, [compiler, "--pretty", "false"], folder, compileTimeout)
  const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "")
  return code === 0 || lines.length > 0 ? lines : [`the compiler ended with ${code}`]
}

/** The arguments of the app: the URL of a server over HTTP, which runs until the scope closes, and the command of one over stdio. */
export const servers = (folder: string): Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const child = spawn(process.execPath, ["server.ts", "http"], {
          cwd: folder,
          stdio: ["ignore", "pipe", "inherit"]
        })
        return { child, port: await firstLine(child) }
      }),
      ({ child }) =>
        Effect.promise(async () => {
          child.kill("SIGKILL")
          if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
        })
    ),
    ({ port }) => [`http://127.0.0.1:${port}/mcp`, process.execPath, "server.ts", "stdio"]
  )

const firstLine = async ({ stdout }: ChildProcess): Promise<string> => {
  if (stdout === null) throw new Error("its stdout is not piped")
  for await (const line of createInterface(stdout)) return line
  throw new Error("it said nothing")
}

const echo = [{ type: "text", text: "echo" }]

/** What the app says when all is well. */
export const well = `${JSON.stringify([
  ["http", echo, echo],
  ["stdio", echo, echo]
])}\n`
