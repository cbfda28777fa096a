/**
 * What a file refers to outside of itself, gathered before it is read: variables of the environment, and files of them.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isObject } from "./check.ts"
import { maxDepth } from "./document.ts"
import { expand, type Surroundings, variablesOf } from "./expand.ts"

/** How files are read, and from where. */
export interface Files {
  /** the folder in which `${workspaceFolder}` and relative names begin */
  readonly folder: string
  /** the text of a file by its name, seen from the folder; `undefined` where it cannot be read */
  readonly read: (path: string) => Effect.Effect<string | undefined>
}

/** So many files of variables are read. */
const maxEnvFiles = 100

/** Everything to which texts of the value refer. Variables are read through `Config`, each once. */
export const gather = Effect.fnUntraced(function* (
  value: unknown,
  folder: string | undefined,
  files: Files | undefined
) {
  const found: Found = { variables: new Set(), envFiles: new Set() }
  find(value, undefined, found, 0)
  const variables = new Map<string, string>()
  for (const name of found.variables) {
    const text = yield* Config.option(Config.String(name)).pipe(Effect.orElseSucceed(() => Option.none<string>()))
    if (Option.isSome(text)) variables.set(name, text.value)
  }
  const envFiles = new Map<string, Readonly<Record<string, string>>>()
  const surroundings: Surroundings = {
    variable: (name) => variables.get(name),
    folder,
    envFile: (path) => envFiles.get(path),
    readsFiles: files !== undefined
  }
  if (files !== undefined) {
    for (const written of [...found.envFiles].slice(0, maxEnvFiles)) {
      const { mistakes, text: path, unset } = expand(written, surroundings)
      if (mistakes.length > 0 || unset.length > 0) continue
      const contents = yield* files.read(path)
      if (contents !== undefined) envFiles.set(path, yield* variablesIn(contents))
    }
  }
  return surroundings
})

interface Found {
  readonly variables: Set<string>
  readonly envFiles: Set<string>
}

/** The keys whose texts are names of variables. */
const naming: ReadonlySet<string> = new Set(["bearer_token_env_var", "env_http_headers", "env_vars", "headerValueEnv"])

const find = (value: unknown, under: string | undefined, found: Found, depth: number): void => {
  if (typeof value === "string") {
    for (const name of under !== undefined && naming.has(under) ? [value] : variablesOf(value))
      found.variables.add(name)
    if (under === "envFile") found.envFiles.add(value)
  } else if (depth > maxDepth) return
  else if (Array.isArray(value)) for (const each of value) find(each, under, found, depth + 1)
  else if (isObject(value)) {
    for (const [key, each] of Object.entries(value)) {
      find(each, under !== undefined && naming.has(under) ? under : key, found, depth + 1)
    }
  }
}

/** Effect reads such files, but hands out only variables that are asked for by name. */
const variablesIn = Effect.fnUntraced(function* (contents: string) {
  const provider = ConfigProvider.fromDotEnvContents(contents, { preserveEmptyStrings: true })
  const all = new Map<string, string>()
  for (const [, name] of contents.matchAll(/^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=/gm)) {
    const text = yield* Config.option(Config.String(name ?? "")).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, provider),
      Effect.orElseSucceed(() => Option.none<string>())
    )
    if (name !== undefined && Option.isSome(text)) all.set(name, text.value)
  }
  return Object.fromEntries(all)
})
