/** What the processes of the testkit run: scripts of its own and installed packages. */
import { createRequire } from "node:module"
import { extname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** A script of `servers/`, compiled or not, whichever this module is. */
const scriptUrl = (name: string): URL => new URL(`../servers/${name}${extname(import.meta.url)}`, import.meta.url)
export const script = (name: string): string => fileURLToPath(scriptUrl(name))

const require = createRequire(import.meta.url)

/** The folder of the testkit, in whose `node_modules` the packages are. */
export const home = fileURLToPath(new URL("../..", import.meta.url))

/** A file of an installed package, also one that its exports map hides. */
export const packageFile = (name: string, file: string): string => {
  const root = (require.resolve.paths(name) ?? []).map((path) => join(path, name)).find(isPackage)
  if (root === undefined) throw new Error(`${name} is not installed`)
  return join(root, file)
}
const isPackage = (path: string) => {
  try {
    return require.resolve(join(path, "package.json")) !== ""
  } catch {
    return false
  }
}

/** An option of `node` that lets a server which others wrote log its starts and what it executes. */
export const logging = (log: string): string => {
  const preload = scriptUrl("preload")
  preload.searchParams.set("log", log)
  return `--import=${preload.href}`
}

/** Arguments of `node` that run server-everything and log what it executes. */
export const everything = (log: string, transport: "stdio" | "streamableHttp"): ReadonlyArray<string> => [
  logging(log),
  packageFile("@modelcontextprotocol/server-everything", "dist/index.js"),
  transport
]

/** One argument of a shell. */
export const quoted = (argument: string): string => `'${argument.replaceAll("'", `'\\''`)}'`
