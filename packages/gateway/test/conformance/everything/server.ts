/**
 * A server with everything that the scenarios of the official conformance suite ask of one, on the SDK 2: of the revision 2026-07-28, and of
 * those before it in sessions, on one URL.
 */
import { getRequestListener } from "@hono/node-server"
import {
  createMcpHandler,
  createRequestStateCodec,
  type EventStore,
  hostHeaderValidationResponse,
  isLegacyRequest,
  type JSONRPCMessage,
  localhostAllowedHostnames,
  McpServer,
  WebStandardStreamableHTTPServerTransport
} from "@modelcontextprotocol/server"
import { randomBytes, randomUUID } from "node:crypto"
import { createServer } from "node:http"
import { registerAsking } from "./asking.ts"
import { registerChanging, registerPrompts, registerResources } from "./listed.ts"
import { registerTools } from "./tools.ts"

export interface Everything {
  readonly url: string
  readonly close: () => Promise<void>
}

interface Session {
  readonly transport: WebStandardStreamableHTTPServerTransport
  readonly changing: ReturnType<typeof registerChanging>
}

/** Which of the changing ones are there; the same for all sessions. */
interface Listed {
  tools: boolean
  prompts: boolean
}

/** The events of a session, as long as it lives: a few scenarios long. */
const eventStore = (): EventStore => {
  const events: Array<{ readonly id: string; readonly streamId: string; readonly message: JSONRPCMessage }> = []
  return {
    storeEvent: async (streamId, message) => {
      const id = `${events.length}`
      events.push({ id, streamId, message })
      return id
    },
    getStreamIdForEventId: async (id) => events[Number(id)]?.streamId,
    replayEventsAfter: async (last, { send }) => {
      const streamId = events[Number(last)]?.streamId ?? ""
      for (const { id, message, streamId: of } of events.slice(Number(last) + 1)) {
        // an event that only opens a stream has no message
        if (of === streamId && "jsonrpc" in message) await send(id, message)
      }
      return streamId
    }
  }
}

export const everything = async (): Promise<Everything> => {
  const codec = createRequestStateCodec<number>({ key: randomBytes(32) })
  const listed: Listed = { tools: true, prompts: true }
  const sessions = new Map<string, Session>()

  const change = (list: keyof Listed): void => {
    listed[list] = !listed[list]
    // this tells the sessions, and the handler those who have subscribed
    for (const { changing } of sessions.values()) changing[list].update({ enabled: listed[list] })
    if (list === "tools") handler.notify.toolsChanged()
    else handler.notify.promptsChanged()
  }

  const make = () => {
    const server = new McpServer(
      { name: "conformance-everything", version: "1" },
      {
        capabilities: {
          tools: { listChanged: true },
          prompts: { listChanged: true },
          resources: { subscribe: true, listChanged: true },
          logging: {},
          completions: {}
        },
        requestState: { verify: codec.verify }
      }
    )
    registerTools(server, { change })
    registerAsking(server, codec)
    registerPrompts(server)
    registerResources(server)
    const changing = registerChanging(server)
    for (const list of ["tools", "prompts"] as const) if (!listed[list]) changing[list].disable()
    return { server, changing }
  }

  const handler = createMcpHandler(() => make().server, { legacy: "reject" })

  const session = async () => {
    const { changing, server } = make()
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, { transport, changing }),
      onsessionclosed: (id) => void sessions.delete(id),
      eventStore: eventStore(),
      retryInterval: 100
    })
    await server.connect(transport)
    return transport
  }

  const fetch = async (request: Request): Promise<Response> => {
    const refused = hostHeaderValidationResponse(request, localhostAllowedHostnames())
    if (refused !== undefined) return refused
    if (!(await isLegacyRequest(request))) return handler.fetch(request)
    const id = request.headers.get("mcp-session-id")
    if (id === null) return (await session()).handleRequest(request)
    return sessions.get(id)?.transport.handleRequest(request) ?? new Response(null, { status: 404 })
  }

  const node = createServer(getRequestListener(fetch, { overrideGlobalObjects: false }))
  await new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve))
  const address = node.address()
  if (address === null || typeof address === "string") throw new Error("it listens on no port")
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    close: async () => {
      await handler.close()
      await Promise.all([...sessions.values()].map(({ transport }) => transport.close()))
      node.closeAllConnections()
      await new Promise((resolve) => node.close(resolve))
    }
  }
}
