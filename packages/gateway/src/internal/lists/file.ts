/**
 * What one backend lists, as a file has it. It is read as what anybody may have written.
 */
import { Limits } from "@vmcp-keepalive/sdk-client/peer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import type { Lists } from "../catalogue/kinds.ts"

/** In bytes, as one message of a server's may be. */
export const mostBytes = Limits.defaults.messageBytes

/** The name of the file: ids may hold anything, and may differ in nothing but case. */
export const nameOf = (backend: string): string =>
  `${createHash("sha256").update(backend).digest("hex").slice(0, 32)}.json`

/** Whether a file of that name is one of these, or was to become one. */
export const isName = (name: string): boolean => /^[0-9a-f]{32}\.json(\.[0-9a-f]{12}\.tmp)?$/.test(name)

const entries = Schema.optional(
  Schema.Array(Schema.Record(Schema.String, Schema.Unknown)).check(Schema.isMaxLength(Limits.defaults.entries))
)

const File = Schema.fromJsonString(
  Schema.Struct({
    version: Schema.Literal(1),
    backend: Schema.String,
    lists: Schema.Struct({ tools: entries, prompts: entries, resources: entries, resourceTemplates: entries })
  })
)

/** The file's text; `undefined` where it would be too long. */
export const textOf = (backend: string, lists: Lists): string | undefined => {
  const text = JSON.stringify({ version: 1, backend, lists })
  return Buffer.byteLength(text) > mostBytes ? undefined : text
}

/** What a text says of that backend, if it is the text of such a file. */
export const read = (backend: string, text: string): Option.Option<Lists> =>
  Option.flatMap(decode(text), (file) => (file.backend === backend ? Option.some(file.lists) : Option.none()))

const decode = Schema.decodeUnknownOption(File)
