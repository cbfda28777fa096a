/** OAuth: who is asked for a token, with what, and how often. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { OAuthTokens } from "@modelcontextprotocol/sdk/shared/auth.js"
import { Effect, Exit, Redacted } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { authorizing, everything } from "./authorizing.ts"
import { makeHost, open, run, serve } from "./support.ts"

/** A provider that is a machine: what it needs is in it, and it gets the tokens that the server hands out. */
const machine = () => {
  let tokens: OAuthTokens | undefined = undefined
  let sentTo = 0
  const provider: OAuthClientProvider = {
    redirectUrl: "http://127.0.0.1:1/callback",
    clientMetadata: { redirect_uris: ["http://127.0.0.1:1/callback"] },
    clientInformation: () => ({ client_id: "client" }),
    tokens: () => tokens,
    saveTokens: (saved) => {
      tokens = saved
    },
    redirectToAuthorization: () => void sentTo++,
    saveCodeVerifier: () => {},
    codeVerifier: () => ""
  }
  return {
    provider,
    give: (accessToken: string) => {
      tokens = { access_token: accessToken, token_type: "Bearer", refresh_token: "refresh" }
    },
    sentTo: () => sentTo
  }
}

describe("a token", () => {
  it.live("that is refused is refreshed for the handshake and for probes, and for a call where the core asks", () =>
    Effect.gen(function* () {
      const server = yield* authorizing(() => "Bearer")
      server.state.wanted = "2"
      const { give, provider } = machine()
      give("1")
      const { session } = yield* open(HttpConnector.make({ url: server.url, authProvider: provider }))
      // the handshake has been made with a second token
      expect(server.state.issued).toBe(2)
      server.state.wanted = "3"
      expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      server.state.wanted = "4"
      const refused = yield* run(session, (client) => client.callTool({ name: "x" }))
      expect(refused.requests).toMatchObject([{ fate: "refused", evidence: { status: 401 } }])
      expect(yield* session.refresh).toBe(true)
      const again = yield* run(session, (client) => client.callTool({ name: "x" }))
      expect(Exit.isSuccess(again.result)).toBe(true)
      // nothing calls for another one
      expect(yield* session.refresh).toBe(false)
      expect(server.state.issued).toBe(4)
    }).pipe(Effect.scoped)
  )

  it.live("that only a person can bring is asked for once a session, however much is refused", () =>
    Effect.gen(function* () {
      const server = yield* authorizing(() => "Bearer")
      const { give, provider, sentTo } = machine()
      give("1")
      const { session } = yield* open(HttpConnector.make({ url: server.url, authProvider: provider }))
      Reflect.set(provider, "tokens", () => ({ access_token: "other", token_type: "Bearer" }))
      for (let time = 0; time < 3; time++) {
        expect(yield* session.probe({ _tag: "ping" })).toMatchObject({ _tag: "Refused", status: 401 })
        expect(yield* session.refresh).toBe(false)
      }
      expect(sentTo()).toBe(1)
    }).pipe(Effect.scoped)
  )
})

describe("what is planted", () => {
  it.live("reaches no other origin, also where a 401 names metadata there", () =>
    Effect.gen(function* () {
      const elsewhere: Array<string> = []
      const other = yield* serve((request, body, response) => {
        elsewhere.push(everything(request, body))
        response.writeHead(404).end()
      })
      const server = yield* authorizing(() => `Bearer resource_metadata="${other.url}/metadata"`)
      server.state.wanted = "2"
      const { give, provider } = machine()
      give("1")
      const { session } = yield* open(
        HttpConnector.make({
          url: server.url,
          authProvider: provider,
          headers: { "x-planted": Redacted.make("planted-header") },
          requestInit: { headers: { "x-init": "planted-init" } }
        })
      )
      yield* run(session, (client) => client.callTool({ name: "x", arguments: { secret: "planted-argument" } }))
      expect(elsewhere).toEqual([])
      const oauth = server.seen.filter((each) => !each.includes(" /mcp "))
      expect(oauth.length).toBeGreaterThan(1)
      expect(oauth.join("\n")).not.toContain("planted")
      expect(server.seen.filter((each) => each.includes("planted-argument")).length).toBe(1)
    }).pipe(Effect.scoped)
  )

  it.live("is in no error of an opening that is refused", () =>
    Effect.gen(function* () {
      const server = yield* authorizing(() => "Bearer")
      const failure = yield* Effect.flip(
        Effect.scoped(
          HttpConnector.make({
            url: `${server.url}?key=planted-query`,
            headers: { authorization: Redacted.make("Bearer planted-token") }
          }).open(makeHost())
        )
      )
      expect(failure).toMatchObject({ _tag: "Refused", status: 401 })
      expect(JSON.stringify(failure)).not.toContain("planted")
    }).pipe(Effect.scoped)
  )
})
