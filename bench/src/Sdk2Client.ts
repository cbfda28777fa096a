/** The client and transports of SDK 2 as they are. */
import { Client, StreamableHTTPClientTransport, type VersionNegotiationOptions } from "@modelcontextprotocol/client"
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio"
import { Effect } from "effect"

/** `modern` of a server of both is found by asking for it (`auto`), `legacy` without asking, by `initialize`. */
export type Era = "legacy" | "modern"

/** How a client of either kind finds an era: each pays what the other pays. */
export const negotiation = (era: Era): VersionNegotiationOptions => ({ mode: era === "modern" ? "auto" : "legacy" })

/** Connects one over HTTP; it is closed with the scope. */
export const http = (url: string, era: Era = "modern") =>
  connected(() => new StreamableHTTPClientTransport(new URL(url)), era)

/** Starts a server and connects to it; both are closed with the scope. */
export const stdio = (
  server: { readonly command: string; readonly args: ReadonlyArray<string> },
  era: Era = "modern"
) =>
  connected(() => new StdioClientTransport({ command: server.command, args: [...server.args], stderr: "ignore" }), era)

/** Connects one over any transport; it is closed with the scope. */
export const connected = (transport: () => Parameters<Client["connect"]>[0], era: Era = "modern") =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ name: "bare", version: "0.0.0" }, { versionNegotiation: negotiation(era) })
      await client.connect(transport())
      expectEra(client, era)
      return client
    }),
    (client) => Effect.promise(() => client.close().catch(() => {}))
  )

/** Throws where the session that a client has is of the other era: then nothing is compared. */
export const expectEra = (client: Client, era: Era): void => {
  if (client.getProtocolEra() !== era) throw new Error(`the session is not of the ${era} era`)
}
