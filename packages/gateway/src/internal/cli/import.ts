/**
 * `import`: a file of another program as one of ours, on stdout. References to variables stay references: no value of the environment is
 * read, and none is written.
 */
import { type BackendSpec, ConfigFileError, Import, KeepaliveConfig } from "@vmcp-keepalive/config"
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Crypto from "node:crypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import { lineOf } from "./check.ts"
import { plain } from "./style.ts"
import { fail } from "./told.ts"

/** Which programs' files are known. */
export const programs = ["toolhive", "vmcp", "cli"] as const

const readers = { toolhive: Import.toolhive, vmcp: Import.vmcp, cli: Import.cli }

export interface Options {
  readonly file: string
  readonly from: (typeof programs)[number]
}

/** Fails where the file is wrong, or says what none of ours can. */
export const importing = Effect.fn(function* ({ file, from }: Options) {
  const files = yield* FileSystem.FileSystem
  const text = yield* files
    .readFileString(file)
    .pipe(Effect.catch(({ reason }) => fail(`${plain(file)}: it cannot be read: ${reason._tag}`)))
  const references = referencesOf()
  const { specs, warnings } = yield* readers[from](text, { file }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, references.provider),
    Effect.catch(told)
  )
  for (const warning of warnings) yield* Console.error(`${lineOf(file, warning)} (warning: ignored)`)
  const written = references.restored(JSON.stringify(fileOf(specs), undefined, 2))
  // what is printed is what `check` accepts
  yield* KeepaliveConfig.parse(written, { file: "<imported>" }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, references.provider),
    Effect.catch(told)
  )
  yield* Console.log(written)
})

const told = ({ file, issues }: ConfigFileError.ConfigFileError) =>
  fail(issues.map((issue) => lineOf(file, issue)).join("\n"))

// ---------------------------------------------------------------------------------------------------------- references

/** Every variable is set, to a mark that stands for the reference to it and for nothing else. */
const referencesOf = () => {
  const nonce = Crypto.randomBytes(8).toString("hex")
  const mark = new RegExp(`variable-${nonce}-([0-9a-f]+)-`, "g")
  return {
    provider: ConfigProvider.make(([name]) =>
      Effect.succeed(
        typeof name === "string" ? ConfigProvider.makeValue(`variable-${nonce}-${hexOf(name)}-`) : undefined
      )
    ),
    /** What a text has of its own that looks like a reference is none. */
    restored: (text: string) =>
      text
        .replaceAll("${", "$$${")
        .replaceAll(mark, (_, hex: string) => `\${${Buffer.from(hex, "hex").toString("utf8")}}`)
  }
}

/** In lower case and without punctuation, so that it is a name of a host as well. */
const hexOf = (name: string): string => Buffer.from(name, "utf8").toString("hex")

// ---------------------------------------------------------------------------------------------------------------- file

const fileOf = (specs: ReadonlyArray<BackendSpec.BackendSpec>) => {
  const policies = specs.map(({ policy }) => policyOf(policy))
  const [first] = policies
  const isCommon = first !== undefined && policies.every((policy) => JSON.stringify(policy) === JSON.stringify(first))
  const own = (index: number) => (isCommon ? undefined : policies[index])
  return {
    ...(isCommon && Object.keys(first).length > 0 ? { keepalive: first } : {}),
    mcpServers: Object.fromEntries(specs.map((spec, index) => [spec.id, entryOf(spec, own(index))]))
  }
}

const entryOf = ({ enabled, session, settings, tools }: BackendSpec.BackendSpec, keepalive: object | undefined) => ({
  ...settingsOf(settings),
  ...(enabled ? {} : { enabled }),
  ...(session === undefined ? {} : { session }),
  ...(tools.include === undefined ? {} : { includeTools: tools.include }),
  ...(tools.exclude === undefined ? {} : { excludeTools: tools.exclude }),
  ...(keepalive === undefined || Object.keys(keepalive).length === 0 ? {} : { keepalive })
})

const settingsOf = (settings: BackendSpec.Settings) =>
  settings.kind === "http"
    ? { type: "http", url: Redacted.value(settings.url), ...filled("headers", revealed(settings.headers)) }
    : {
        type: "stdio",
        command: reveal(settings.command),
        ...(settings.args.length === 0 ? {} : { args: settings.args.map(reveal) }),
        ...(settings.cwd === undefined ? {} : { cwd: reveal(settings.cwd) }),
        ...filled("env", revealed(settings.env))
      }

const reveal = (text: BackendSpec.Text): string => (Redacted.isRedacted(text) ? Redacted.value(text) : text)

const revealed = (texts: Readonly<Record<string, Redacted.Redacted<string>>>) =>
  Object.fromEntries(Object.entries(texts).map(([name, value]) => [name, Redacted.value(value)]))

const filled = (key: string, texts: Readonly<Record<string, string>>) =>
  Object.keys(texts).length === 0 ? {} : { [key]: texts }

/** Durations in words, as files have them. */
const policyOf = (policy: KeepalivePolicy.Options): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(policy).flatMap(([key, value]) => (value === undefined ? [] : [[key, written(value)]]))
  )

const written = (value: unknown): unknown => {
  if (Duration.isDuration(value)) return durationOf(value)
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(written)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, written(each)]))
}

const durationOf = (duration: Duration.Duration): string => {
  if (!Duration.isFinite(duration)) return "Infinity"
  const millis = Duration.toMillis(duration)
  return millis % 1000 === 0 ? `${millis / 1000} seconds` : `${millis} millis`
}
