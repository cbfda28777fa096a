/** What the tools, prompts and resources of the server answer, as the scenarios want it. */
import { type CallToolResult, fromJsonSchema } from "@modelcontextprotocol/server"

/** A PNG of one pixel, and a WAV without a sample. */
export const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
export const wav = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="

export const image = { type: "image" as const, data: png, mimeType: "image/png" }
export const audio = { type: "audio" as const, data: wav, mimeType: "audio/wav" }
export const words = (text: string) => ({ type: "text" as const, text })
export const embedded = (uri: string, text: string, mimeType = "text/plain") => ({
  type: "resource" as const,
  resource: { uri, mimeType, text }
})

export const saying = (text: string): CallToolResult => ({ content: [words(text)] })

/** An object of strings, all of them required. */
export const strings = <Name extends string>(...names: ReadonlyArray<Name>) =>
  fromJsonSchema<Readonly<Record<Name, string>>>({
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, { type: "string", description: `a ${name}` }])),
    required: [...names]
  })

/** The arguments of what takes none. */
export const nothing = fromJsonSchema<Readonly<Record<string, never>>>({ type: "object", properties: {} })

/** Everything of JSON Schema 2020-12 that a list has to hand on. */
export const schemaOf2020 = fromJsonSchema({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: {
    address: {
      $anchor: "addressDef",
      type: "object",
      properties: { street: { type: "string" }, city: { type: "string" } }
    }
  },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" }
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false
})
