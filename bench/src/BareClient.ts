/** The SDK's client and transports as they are. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"

/** What a client of {@link http} has. */
export const HttpTransport = StreamableHTTPClientTransport

/** Connects one over HTTP; it is closed with the scope. */
export const http = (url: string) =>
  Effect.suspend(() => {
    // its `sessionId` is declared in a way that exactOptionalPropertyTypes does not take for the interface's
    const transport: unknown = new StreamableHTTPClientTransport(new URL(url))
    return connected(transport as Transport)
  })

/** Starts a server and connects to it; both are closed with the scope. */
export const stdio = ({ args, command }: StdioServers.StdioServer) =>
  Effect.suspend(() => {
    const transport = new StdioClientTransport({ command, args: [...args], stderr: "ignore" })
    return Effect.map(connected(transport), (client) => ({ client, pid: transport.pid ?? 0 }))
  })

const connected = (transport: Transport) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ name: "bare", version: "0.0.0" })
      await client.connect(transport)
      return client
    }),
    (client) => Effect.promise(() => client.close().catch(() => {}))
  )
