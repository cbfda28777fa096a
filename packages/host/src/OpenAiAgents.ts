/**
 * A kept connection as a server of the OpenAI Agents SDK: its interface `MCPServer`, with resources, in structure only.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import type * as Layer from "effect/Layer"
import * as ErrorAnswer from "./ErrorAnswer.ts"
import { Client } from "./internal/client.ts"
import { type Keeper, make, type Observed, type On, type Options as KeeperOptions } from "./internal/keeper.ts"
import * as Listing from "./internal/listing.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What {@link toMcpServer} takes.
 *
 * @since 0.1.0
 */
export interface Options<R = never> extends KeeperOptions<R> {
  /** What the framework calls the server. Default: the `id` */
  readonly name?: string | undefined
  /**
   * Whether the list of tools is kept until the server says that it has changed, which it is also taken to have after each new
   * session. Default: false, the framework asks for it in each turn
   */
  readonly cacheToolsList?: boolean | undefined
  /** What the server is told of its client. Default: this library's name */
  readonly clientInfo?: { readonly name: string; readonly version: string } | undefined
}

/**
 * A tool as the server has it, whose schema is whatever that says.
 *
 * @since 0.1.0
 */
export interface Tool {
  name: string
  description?: string
  inputSchema: {
    type: "object"
    // The framework's own type, which servers' schemas are taken for unchecked.
    // oxlint-disable-next-line typescript/no-explicit-any -- as above
    properties: Record<string, any>
    required: Array<string>
    additionalProperties: boolean
  }
}

/**
 * The result of a call, as the server has it.
 *
 * @since 0.1.0
 */
export interface CallResult {
  content: Array<{ type: string; [key: string]: unknown }>
  _meta?: Record<string, unknown>
  structuredContent?: Record<string, unknown>
  isError?: boolean
}

/**
 * The content of a result, with the rest of it in properties that are not enumerable.
 *
 * @since 0.1.0
 */
export type CallContent = CallResult["content"] & Omit<CallResult, "content">

/**
 * What {@link toMcpServer} makes. What else the framework's interface has (`toolFilter`, guardrails, …) is set by
 * `Object.assign(server, { toolFilter })`.
 *
 * @since 0.1.0
 */
export interface McpServer extends Observed {
  /** the id of the backend */
  readonly id: string
  readonly name: string
  /** Always false: the framework's own list, which all servers of one name share, is not told of changes. */
  readonly cacheToolsList: boolean
  /**
   * What the model is told of a call that failed. The framework would say "please try again", also where the call may have been
   * executed; this says what became of it.
   */
  readonly errorFunction: (failed: { readonly error: unknown }) => Promise<string>
  /**
   * Opens the connection and reaches for the server, without waiting for it: `state` tells whether it is there, and lists and calls
   * wait for it. Rejects where a layer cannot be built.
   */
  readonly connect: () => Promise<void>
  /** Ends the connection and its session with the server. Another `connect` opens another one. */
  readonly close: () => Promise<void>
  /**
   * All tools. Where the server cannot be reached they are the last that it told, so that an agent goes on; rejects where it has
   * told none.
   */
  readonly listTools: () => Promise<Array<Tool>>
  readonly callTool: (
    toolName: string,
    args: Record<string, unknown> | null,
    meta?: Record<string, unknown> | null,
    options?: { readonly signal?: AbortSignal | undefined }
  ) => Promise<CallContent>
  /** A call, with its whole result. */
  readonly callToolResult: (
    toolName: string,
    args: Record<string, unknown> | null,
    meta?: Record<string, unknown> | null,
    options?: { readonly signal?: AbortSignal | undefined }
  ) => Promise<CallResult>
  /** The list of tools is asked for again. */
  readonly invalidateToolsCache: () => Promise<void>
  /** One page of the resources. */
  readonly listResources: (params?: { readonly cursor?: string; readonly [name: string]: unknown }) => Promise<Resources>
  /** One page of the templates of resources. */
  readonly listResourceTemplates: (params?: {
    readonly cursor?: string
    readonly [name: string]: unknown
  }) => Promise<ResourceTemplates>
  readonly readResource: (uri: string) => Promise<ResourceContents>
}

/** @since 0.1.0 */
export interface Resources {
  resources: Array<{ uri: string; [key: string]: unknown }>
  nextCursor?: string
  [key: string]: unknown
}

/** @since 0.1.0 */
export interface ResourceTemplates {
  resourceTemplates: Array<{ uriTemplate: string; [key: string]: unknown }>
  nextCursor?: string
  [key: string]: unknown
}

/** @since 0.1.0 */
export interface ResourceContents {
  contents: Array<{ uri: string; text: string; [key: string]: unknown } | { uri: string; blob: string; [key: string]: unknown }>
  [key: string]: unknown
}
