/**
 * A kept connection as a server of the OpenAI Agents SDK: its interface `MCPServer`, with resources, in structure only.
 */
import type { KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as ErrorAnswer from "./ErrorAnswer.ts"
import { Client } from "./internal/client.ts"
import { type Keeper, make, type Observed, type Options as KeeperOptions } from "./internal/keeper.ts"
import * as Listing from "./internal/listing.ts"
import * as Agents from "./internal/openAiAgents.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What {@link toMcpServer} takes.
 *
 * @since 0.1.0
 */
export type Options<R = never> = KeeperOptions<R> & {
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
   * All tools. Where the server cannot be reached they are those that it told last, so that an agent goes on; rejects where it has
   * told none.
   */
  readonly listTools: () => Promise<Array<Agents.Tool>>
  /** A call. Its result is the content; what else the server answered is in properties that are not enumerable. */
  readonly callTool: Call<Agents.CallContent>
  /** A call, with its whole result. */
  readonly callToolResult: Call<Agents.CallResult>
  /** The list of tools is asked for again. */
  readonly invalidateToolsCache: () => Promise<void>
  /** One page of the resources. */
  readonly listResources: (params?: Agents.ListParams) => Promise<Agents.Resources>
  /** One page of the templates of resources. */
  readonly listResourceTemplates: (params?: Agents.ListParams) => Promise<Agents.ResourceTemplates>
  readonly readResource: (uri: string) => Promise<Agents.ResourceContents>
}

/** Calls a tool. An abort of the signal cancels the call. */
type Call<Result> = (
  toolName: string,
  args: Record<string, unknown> | null,
  meta?: Record<string, unknown> | null,
  options?: Agents.CallOptions
) => Promise<Result>

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A server for agents of the OpenAI Agents SDK (`new Agent({ mcpServers: [server] })`). Nothing is started before `connect`. Throws
 * a `ConfigurationError` with everything that is wrong in the settings.
 *
 * @since 0.1.0
 */
export const toMcpServer = <R = never>(options: Options<R>): McpServer => {
  const listeners = new Set<KeepaliveEvent.Observer>()
  return new KeptServer(options, () => make(options, { listeners }))
}

// ----------------------------------------------------------------------------------------------------------- internal

/** One connection, from `connect` to `close`. */
interface Connection {
  readonly client: Client
  readonly opened: Promise<void>
}

class KeptServer implements McpServer {
  readonly id: string
  readonly name: string
  readonly cacheToolsList = false
  readonly on: Observed["on"]
  readonly #options: Pick<Options, "cacheToolsList" | "clientInfo">
  readonly #make: () => Keeper
  #keeper: Keeper
  #isClosed = false
  #connection: Connection | undefined
  /** the tools that the server told last */
  #tools: Array<Agents.Tool> | undefined
  /** whether they are its tools still, as far as it has said */
  #isCurrent = false
  /** how often they may have changed */
  #changes = 0

  constructor(options: Pick<Options, "id" | "name" | "cacheToolsList" | "clientInfo">, make: () => Keeper) {
    this.id = options.id
    this.name = options.name ?? options.id
    this.#options = options
    this.#make = make
    this.#keeper = make()
    this.on = this.#keeper.on
  }

  get state(): Observed["state"] {
    return this.#keeper.state
  }

  readonly errorFunction: McpServer["errorFunction"] = ({ error }) =>
    Promise.resolve(
      error instanceof Error && ErrorAnswer.dataOf(error) !== undefined ? error.message : failedAsElsewhere
    )

  readonly connect: McpServer["connect"] = () => {
    this.#connection ??= this.#open()
    return this.#connection.opened
  }

  readonly close: McpServer["close"] = async () => {
    this.#connection?.client.close()
    this.#connection = undefined
    this.#isClosed = true
    this.#changed()
    await this.#keeper.close()
  }

  readonly listTools: McpServer["listTools"] = async () => {
    if (this.#tools !== undefined && this.#isCurrent) return [...this.#tools]
    const changes = this.#changes
    try {
      const page: Listing.Page = (params) => this.#client.request("tools/list", params)
      const tools = (await Listing.all(page, "tools")).filter(Agents.isTool)
      this.#tools = tools
      this.#isCurrent = this.#options.cacheToolsList === true && changes === this.#changes
      return [...tools]
    } catch (error) {
      if (this.#tools === undefined || ErrorAnswer.dataOf(error) === undefined) throw error
      return [...this.#tools]
    }
  }

  readonly callToolResult: McpServer["callToolResult"] = async (toolName, args, meta, options) => {
    const params = { name: toolName, arguments: args ?? {}, ...(meta ? { _meta: meta } : {}) }
    return expected(await this.#client.request("tools/call", params, options?.signal), Agents.isCallResult)
  }

  readonly callTool: McpServer["callTool"] = async (toolName, args, meta, options) =>
    Agents.contentOf(await this.callToolResult(toolName, args, meta, options))

  readonly invalidateToolsCache: McpServer["invalidateToolsCache"] = () => Promise.resolve(this.#changed())

  readonly listResources: McpServer["listResources"] = async (params) =>
    expected(await this.#client.request("resources/list", params), Agents.isResources)

  readonly listResourceTemplates: McpServer["listResourceTemplates"] = async (params) =>
    expected(await this.#client.request("resources/templates/list", params), Agents.isResourceTemplates)

  readonly readResource: McpServer["readResource"] = async (uri) =>
    expected(await this.#client.request("resources/read", { uri }), Agents.isResourceContents)

  get #client(): Client {
    if (this.#connection === undefined) throw new Error("This server is used before connect(), or after close()")
    return this.#connection.client
  }

  #open(): Connection {
    if (this.#isClosed) this.#keeper = this.#make()
    this.#isClosed = false
    const client = new Client({
      open: this.#keeper.open,
      clientInfo: this.#options.clientInfo ?? { name: "vmcp-keepalive", version: "0.1.0" },
      onNotification: ({ method }) => {
        if (method === "notifications/tools/list_changed") this.#changed()
      }
    })
    const opened = client.open().catch((error: unknown) => {
      // so that the next `connect` tries anew
      if (this.#connection?.client === client) this.#connection = undefined
      throw error
    })
    return { client, opened }
  }

  #changed(): void {
    this.#isCurrent = false
    this.#changes++
  }
}

/** What the framework tells a model of any other error. */
const failedAsElsewhere = "An error occurred while running the tool. Please try again."

const expected = <A extends Message.Result>(result: Message.Result, is: (result: Message.Result) => result is A): A => {
  if (is(result)) return result
  throw new Error("The server's answer is not what the method has")
}
