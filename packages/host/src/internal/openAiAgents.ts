/**
 * What the interface `MCPServer` of the OpenAI Agents SDK names, in structure only, and how results get its form.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** A tool as the server has it. The framework takes schemas for what they are unchecked. */
export interface Tool {
  name: string
  description?: string
  inputSchema: {
    type: "object"
    // oxlint-disable-next-line typescript/no-explicit-any -- the framework's own type
    properties: Record<string, any>
    required: Array<string>
    additionalProperties: boolean
  }
}

/** The result of a call, as the server has it. */
export interface CallResult {
  content: Array<{ type: string; [name: string]: unknown }>
  _meta?: Record<string, unknown>
  structuredContent?: Record<string, unknown>
  isError?: boolean
}

/** The content of a result, with the rest of it in properties that are not enumerable. */
export type CallContent = CallResult["content"] & Omit<CallResult, "content">

/** What goes with a call. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/** Which page. */
export interface ListParams {
  readonly cursor?: string
  readonly [name: string]: unknown
}

/** A page of resources. */
export interface Resources {
  resources: Array<{ uri: string; [name: string]: unknown }>
  nextCursor?: string
  [name: string]: unknown
}

/** A page of templates. */
export interface ResourceTemplates {
  resourceTemplates: Array<{ uriTemplate: string; [name: string]: unknown }>
  nextCursor?: string
  [name: string]: unknown
}

/** What is in a resource. */
export interface ResourceContents {
  contents: Array<
    { uri: string; text: string; [name: string]: unknown } | { uri: string; blob: string; [name: string]: unknown }
  >
  [name: string]: unknown
}

// As the framework's own servers do, what the server answers is checked for no more than what is read of it there.

export const isTool = (value: Record<string, unknown>): value is Record<string, unknown> & Tool =>
  typeof value["name"] === "string" && Message.isObject(value["inputSchema"])

export const isCallResult = (result: Message.Result): result is Message.Result & CallResult =>
  Array.isArray(result["content"])

export const isResources = (result: Message.Result): result is Message.Result & Resources =>
  Array.isArray(result["resources"])

export const isResourceTemplates = (result: Message.Result): result is Message.Result & ResourceTemplates =>
  Array.isArray(result["resourceTemplates"])

export const isResourceContents = (result: Message.Result): result is Message.Result & ResourceContents =>
  Array.isArray(result["contents"])

/** The result in the form that the framework reads where it asks for the content alone. */
export const contentOf = ({ content, ...rest }: CallResult): CallContent => {
  const read: CallContent = [...content]
  for (const name of ["_meta", "structuredContent", "isError"] as const)
    if (rest[name] !== undefined)
      Object.defineProperty(read, name, { value: rest[name], enumerable: false, configurable: true })
  return read
}
