/**
 * What servers list, and how each list is asked for.
 */

/** By the name of the list in the answer that has it. */
export type Kind = "tools" | "prompts" | "resources" | "resourceTemplates"

/** One tool, prompt, resource or template, as its server has it. */
export type Entry = Readonly<Record<string, unknown>>

/** What a server lists, as far as it is known. */
export type Lists = { readonly [Of in Kind]?: ReadonlyArray<Entry> | undefined }

export const kinds: ReadonlyArray<Kind> = ["tools", "prompts", "resources", "resourceTemplates"]

export const methods: Readonly<Record<Kind, string>> = {
  tools: "tools/list",
  prompts: "prompts/list",
  resources: "resources/list",
  resourceTemplates: "resources/templates/list"
}

export const ofMethod: ReadonlyMap<string, Kind> = new Map(kinds.map((kind) => [methods[kind], kind]))

/** The capability of servers that have the list, which is in the name of the notification that it has changed as well. */
export const capabilities = {
  tools: "tools",
  prompts: "prompts",
  resources: "resources",
  resourceTemplates: "resources"
} as const satisfies Record<Kind, string>

/** What is asked for by a name, which the gateway gives to one of one backend; of URIs several may have the same. */
export const isNamed: ReadonlySet<Kind> = new Set(["tools", "prompts"])

/** A text field of an entry. */
export const textOf = (entry: Entry, field: string): string | undefined => {
  const value = entry[field]
  return typeof value === "string" ? value : undefined
}
