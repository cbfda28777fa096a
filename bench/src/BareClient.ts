/** The SDK's client and transport as they are. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Effect } from "effect"

/** Connects one; it is closed with the scope. */
export const make = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ name: "bare", version: "0.0.0" })
      // its `sessionId` is declared in a way that exactOptionalPropertyTypes does not take for the interface's
      const transport: unknown = new StreamableHTTPClientTransport(new URL(url))
      await client.connect(transport as Transport)
      return client
    }),
    (client) => Effect.promise(() => client.close().catch(() => {}))
  )
