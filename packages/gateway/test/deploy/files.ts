/** The files under deploy/, parsed; and what the program says of itself. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseAllDocuments } from "yaml"
import { run } from "../cli/program.ts"

/** The root of this repository. */
export const root = fileURLToPath(new URL("../../../../", import.meta.url))

/** A file by its path from the root. */
export const read = (path: string): string => readFileSync(`${root}${path}`, "utf8")

/** Every document of a YAML file; each key once. */
export const yaml = (path: string): ReadonlyArray<unknown> =>
  parseAllDocuments(read(path), { strict: true, uniqueKeys: true }).map((document) => {
    for (const problem of [...document.errors, ...document.warnings]) throw problem
    return document.toJS()
  })

/** A command line of the program: its command, and the flags by their names. */
export interface Invocation {
  readonly command: string
  readonly flags: ReadonlyMap<string, ReadonlyArray<string>>
}

/** Of what stands behind the name of the program. */
export const invocationOf = ([command = "", ...rest]: ReadonlyArray<string>): Invocation => {
  const flags = new Map<string, Array<string>>()
  let values: Array<string> | undefined
  for (const word of rest) {
    if (word.startsWith("--")) {
      values = flags.get(word) ?? []
      flags.set(word, values)
    } else if (values === undefined) throw new Error(`${word} belongs to no flag`)
    else values.push(word)
  }
  return { command, flags }
}

/** The flags that a command has, as its help lists them. */
export const flagsOf = async (command: string): Promise<ReadonlyArray<string>> => {
  const { code, stdout } = await run([command, "--help"])
  if (code !== 0) throw new Error(`there is no command ${command}`)
  return [...stdout.matchAll(/^\s+(--[a-z-]+)/gm)].map(([, flag]) => flag ?? "")
}
