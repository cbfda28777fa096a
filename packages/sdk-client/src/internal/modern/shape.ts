/** Servers and results of MCP 2026-07-28 in the shape of the revisions before, for who knows those alone. */
import * as Message from "../../Message.ts"

const serverInfoKey = "io.modelcontextprotocol/serverInfo"

/** What `initialize` would have said of the server, in the revision that was asked for. */
export const server = (
  { _meta: meta, capabilities, instructions, serverInfo }: Message.Result,
  protocolVersion: string
): Message.Result & {
  readonly protocolVersion: string
  readonly capabilities: { readonly [name: string]: unknown }
} => {
  const told = Message.isObject(meta) ? meta[serverInfoKey] : undefined
  return {
    protocolVersion,
    capabilities: Message.isObject(capabilities) ? capabilities : {},
    serverInfo: told ?? serverInfo ?? { name: "unknown", version: "0" },
    ...(typeof instructions === "string" ? { instructions } : {})
  }
}

/** The result of a request, without what the revisions before would refuse. */
export const result = (method: string, told: Message.Result): Message.Result => {
  const { resultType: _, ...given } = told
  switch (method) {
    case "tools/list":
      return Array.isArray(given["tools"]) ? { ...given, tools: given["tools"].map((tool) => ofTool(tool)) } : given
    case "tools/call":
      return ofCall(given)
    default:
      return given
  }
}

/** What a tool returns is an object there, or has no schema. */
const ofTool = (tool: unknown): unknown => {
  if (!Message.isObject(tool)) return tool
  const { outputSchema, ...others } = tool
  const isOfObject = Message.isObject(outputSchema) && outputSchema["type"] === "object"
  return outputSchema === undefined || isOfObject ? tool : others
}

/** What is no object is said as text, unless the server has done so itself. */
const ofCall = (given: Message.Result): Message.Result => {
  const { structuredContent, ...others } = given
  if (structuredContent === undefined || (Message.isObject(structuredContent) && !Array.isArray(structuredContent)))
    return given
  const content: ReadonlyArray<unknown> = Array.isArray(others["content"]) ? others["content"] : []
  const text = JSON.stringify(structuredContent)
  const isSaid = content.some((block) => Message.isObject(block) && block["type"] === "text")
  return isSaid ? others : { ...others, content: [...content, { type: "text", text }] }
}
