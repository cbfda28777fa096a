/** A server that wants a token. */
import { Effect } from "effect"
import type { IncomingMessage } from "node:http"
import { initializeResult, serve } from "./support.ts"

/** Everything that a request carries. */
export const everything = ({ headers, method, url }: IncomingMessage, body: string) =>
  `${method} ${url} ${JSON.stringify(headers)} ${body}`

/** What a server that is its own authorization server says of itself there; `undefined` where that is not asked. */
export const metadataAt = (url: string | undefined, origin: string): object | undefined => {
  if (url?.startsWith("/.well-known/oauth-protected-resource"))
    return { resource: `${origin}/mcp`, authorization_servers: [origin] }
  if (!url?.startsWith("/.well-known/")) return undefined
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    response_types_supported: ["code"],
    code_challenge_methods_supported: ["S256"]
  }
}

/**
 * A server that wants a token, and is its own authorization server: `token/N` hands out the N-th. `wanted` is the one that does,
 * and `challenge` what it says of the others.
 */
export const authorizing = (challenge: (origin: string) => string) =>
  Effect.gen(function* () {
    const seen: Array<string> = []
    const state = { wanted: "1", issued: 1, calls: 0, isModern: false, status: 401 }
    let origin = ""
    const made = yield* serve((request, body, response) => {
      seen.push(everything(request, body))
      const json = (value: unknown) =>
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value))
      const metadata = metadataAt(request.url, origin)
      if (metadata !== undefined) return json(metadata)
      if (request.url === "/token")
        return json({ access_token: String(++state.issued), token_type: "Bearer", refresh_token: "refresh" })
      if (request.headers.authorization !== `Bearer ${state.wanted}`)
        return response.writeHead(state.status, { "www-authenticate": challenge(origin) }).end()
      if (request.method !== "POST") return response.writeHead(request.method === "DELETE" ? 200 : 405).end()
      const { id, method } = JSON.parse(body)
      if (id === undefined) return response.writeHead(202).end()
      if (method === "initialize")
        return response
          .writeHead(200, { "content-type": "application/json", "mcp-session-id": "planted-session" })
          .end(initializeResult(id))
      if (method === "server/discover" && state.isModern)
        return json({
          jsonrpc: "2.0",
          id,
          result: {
            resultType: "complete",
            supportedVersions: ["2026-07-28"],
            capabilities: { tools: {} },
            ttlMs: 0,
            cacheScope: "private"
          }
        })
      state.calls++
      return json({ jsonrpc: "2.0", id, result: { resultType: "complete", content: [] } })
    })
    origin = made.url.replace("/mcp", "")
    return { ...made, seen, state }
  })
