/** Servers in this process, and what they have met. */
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListRootsResultSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"

/** What the servers of a test have met. */
export class Ledger {
  readonly clients: Array<unknown> = []
  readonly levels: Array<string> = []
  readonly subscribed: Array<string> = []
  readonly unsubscribed: Array<string> = []
  readonly aborted: Array<string> = []
  readonly completed: Array<unknown> = []
  readonly servers: Array<Server> = []
}

const text = (text: string) => ({ content: [{ type: "text" as const, text }] })

export const tools = ["echo", "hang", "sample", "elicit", "roots", "steps", "log", "link"]

export interface Options {
  readonly tools?: ReadonlyArray<string>
  readonly resources?: ReadonlyArray<string>
  readonly templates?: ReadonlyArray<string>
  readonly instructions?: string
}

/** A server that answers with its name, so that it is seen whose answer it is. */
export const serverOf = (name: string, ledger: Ledger, options: Options = {}) => {
  const listed = options.tools ?? tools
  const make = () => {
    const server = new Server(
      { name, version: "1" },
      {
        capabilities: {
          tools: {},
          prompts: {},
          logging: {},
          completions: {},
          resources: { subscribe: true }
        },
        ...(options.instructions === undefined ? {} : { instructions: options.instructions })
      }
    )
    ledger.servers.push(server)
    server.oninitialized = () => ledger.clients.push([server.getClientVersion(), server.getClientCapabilities()])
    server.setRequestHandler(ListToolsRequestSchema, () => ({
      tools: listed.map((name) => ({ name, inputSchema: { type: "object" as const } }))
    }))
    server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: [{ name: "greet" }] }))
    server.setRequestHandler(GetPromptRequestSchema, ({ params }) => ({
      description: `${name}/${params.name}`,
      messages: []
    }))
    server.setRequestHandler(ListResourcesRequestSchema, () => ({
      resources: (options.resources ?? []).map((uri) => ({ uri, name: uri, description: name }))
    }))
    server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
      resourceTemplates: (options.templates ?? []).map((uriTemplate) => ({ uriTemplate, name: uriTemplate }))
    }))
    server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => ({ contents: [{ uri, text: name }] }))
    server.setRequestHandler(CompleteRequestSchema, ({ params }) => {
      ledger.completed.push(params.ref)
      return { completion: { values: [name] } }
    })
    server.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
      ledger.levels.push(params.level)
      return {}
    })
    server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
      ledger.subscribed.push(params.uri)
      return {}
    })
    server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
      ledger.unsubscribed.push(params.uri)
      return {}
    })
    server.setRequestHandler(CallToolRequestSchema, async ({ params }, { sendNotification, sendRequest, signal }) => {
      signal.addEventListener("abort", () => ledger.aborted.push(params.name))
      switch (params.name) {
        case "hang":
          return new Promise<never>(() => {})
        case "sample": {
          const request = { method: "sampling/createMessage" as const, params: { messages: [], maxTokens: 1 } }
          return text(`${name}: ${JSON.stringify((await sendRequest(request, CreateMessageResultSchema)).content)}`)
        }
        case "elicit": {
          const params = {
            mode: "form" as const,
            message: name,
            requestedSchema: { type: "object" as const, properties: {} }
          }
          const answer = await sendRequest({ method: "elicitation/create" as const, params }, ElicitResultSchema)
          return text(`${name}: ${answer.action}`)
        }
        case "roots": {
          const { roots } = await sendRequest({ method: "roots/list" }, ListRootsResultSchema)
          return text(roots.map(({ uri }) => uri).join())
        }
        case "steps": {
          const token = params._meta?.progressToken
          if (token !== undefined) {
            for (const progress of [1, 2]) {
              await sendNotification({
                method: "notifications/progress",
                params: { progressToken: token, progress, message: String(params.arguments?.["text"]) }
              })
            }
          }
          return text(name)
        }
        case "log":
          await sendNotification({
            method: "notifications/message",
            params: { level: "warning", logger: "inner", data: name }
          })
          return text(name)
        case "link":
          return { content: [{ type: "resource_link" as const, uri: `linked://${name}`, name: "linked" }] }
        default:
          return text(`${name}: ${String(params.arguments?.["text"])}`)
      }
    })
    return server
  }
  return TestServer.make({ server: make })
}
