/**
 * From a text or a file to specs: its syntax, what it refers to, and what it says.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import type { BackendSpec } from "../BackendSpec.ts"
import { ConfigFileError } from "../ConfigFileError.ts"
import type { Loaded, LoadOptions, ParseOptions } from "../KeepaliveConfig.ts"
import type { Document } from "./document.ts"
import type { Surroundings } from "./expand.ts"
import { Findings } from "./findings.ts"
import * as Read from "./read.ts"
import { type Files, gather } from "./surroundings.ts"
import * as Syntax from "./syntax.ts"

/** What a kind of file means. */
export type Decode = (document: Document, surroundings: Surroundings, findings: Findings) => ReadonlyArray<BackendSpec>

export const ofText = (text: string, options: ParseOptions, decode: Decode): Effect.Effect<Loaded, ConfigFileError> =>
  text.length > Read.maxBytes
    ? failure(options.file ?? unnamed, `a text of at most ${Read.maxBytes / 1024 / 1024} MiB`)
    : read(text, options, undefined, decode)

const unnamed = "<text>"

const failure = (file: string, expected: string) =>
  Effect.fail(new ConfigFileError({ file, issues: [{ path: [], expected, line: undefined, column: undefined }] }))

const read = Effect.fnUntraced(function* (
  text: string,
  { file = unnamed, folder, format = Syntax.formatOf(file) }: ParseOptions,
  files: Files | undefined,
  decode: Decode
) {
  const findings = new Findings()
  // editors write a byte order mark that people do not see
  const document = yield* Syntax.parse(text.replace(/^\uFEFF/, ""), format, findings)
  const specs = document === undefined ? [] : decode(document, yield* gather(document.value, folder, files), findings)
  if (findings.count > 0) return yield* new ConfigFileError({ file, issues: findings.mistakes })
  return { specs, warnings: findings.warnings } satisfies Loaded
})

/** An env file holds a few variables. */
const maxEnvFile = 1024 * 1024

/** Folders in which editors keep what belongs to the folder around them. */
const ofEditors: ReadonlySet<string> = new Set([".vscode", ".cursor"])

export const ofFile = (
  file: string,
  options: LoadOptions,
  decode: Decode
): Effect.Effect<Loaded, ConfigFileError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const services = yield* Effect.context<FileSystem.FileSystem>()
    const text = yield* Read.text(file)
    if (Result.isFailure(text)) return yield* failure(file, text.failure)
    const around = path.dirname(path.resolve(file))
    const folder = ofEditors.has(path.basename(around)) ? path.dirname(around) : around
    const files: Files = {
      folder,
      read: (name) =>
        Read.text(path.resolve(folder, name), maxEnvFile).pipe(
          Effect.map(Result.getOrElse(() => undefined)),
          Effect.provideContext(services)
        )
    }
    return yield* read(text.success, { ...options, file, folder }, files, decode)
  })
