/**
 * What is wrong with a configuration file: everything at once.
 */
import * as Schema from "effect/Schema"

/**
 * One thing that is wrong in a file, or that is only told: where it stands, and what was expected there. It names keys of the file
 * and variables of the environment, never a value of either.
 *
 * @since 0.1.0
 */
export interface Issue {
  /** keys and indexes from the outermost on; empty where it is the file as a whole */
  readonly path: ReadonlyArray<string>
  readonly expected: string
  /** from 1; `undefined` where nothing of the file could be read */
  readonly line?: number | undefined
  /** from 1, in UTF-16 code units, as editors count */
  readonly column?: number | undefined
}

/**
 * Issues, as they are checked, decoded and encoded.
 *
 * @since 0.1.0
 */
export const Issue = Schema.Struct({
  path: Schema.Array(Schema.String),
  expected: Schema.String,
  line: Schema.optional(Schema.Number),
  column: Schema.optional(Schema.Number)
})

/**
 * A file cannot be used. Lists every mistake of it, at most 1,000 one by one, in the order of its lines. Nothing of such a file is taken.
 *
 * @since 0.1.0
 */
export class ConfigFileError extends Schema.TaggedError<ConfigFileError>()("ConfigFileError", {
  /** as it was given; `<text>` where a text was read that has no name */
  file: Schema.String,
  issues: Schema.Array(Issue)
}) {
  /** A line for each mistake, as compilers write them: `file:line:column key.key: expected …`. */
  override get message(): string {
    return this.issues.map((issue) => format(this.file, issue)).join("\n")
  }
}

/**
 * One issue on one line: `mcp.json:3:5 mcpServers.github.url: expected …`.
 *
 * @since 0.1.0
 */
export const format = (file: string, { column, expected, line, path }: Issue): string => {
  const where = line === undefined ? file : `${file}:${line}:${column ?? 1}`
  return path.length === 0 ? `${where}: expected ${expected}` : `${where} ${path.join(".")}: expected ${expected}`
}
