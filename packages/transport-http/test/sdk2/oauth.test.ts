/** OAuth with SDK 2.x: who is asked for a token, with what, and how often. */
import { assert, describe, it } from "@effect/vitest"
import type { OAuthClientProvider, OAuthTokens } from "@modelcontextprotocol/client"
import { Effect, Exit } from "effect"
import { HttpConnector } from "../../src/sdk2/index.ts"
import { authorizing } from "../connector/authorizing.ts"
import { open, run } from "../connector/support.ts"

/** A provider that is a machine, and has the first token. `sentTo`: where it would have sent a person. */
const machine = (sentTo: Array<URL> = []) => {
  let tokens: OAuthTokens = { access_token: "1", token_type: "Bearer", refresh_token: "refresh", scope: "read" }
  const provider: OAuthClientProvider = {
    redirectUrl: "http://127.0.0.1:1/callback",
    clientMetadata: { redirect_uris: ["http://127.0.0.1:1/callback"] },
    clientInformation: () => ({ client_id: "client" }),
    tokens: () => tokens,
    saveTokens: (saved) => {
      tokens = saved
    },
    redirectToAuthorization: (url) => void sentTo.push(url),
    saveCodeVerifier: () => {},
    codeVerifier: () => ""
  }
  return provider
}

describe("a token that is refused", { timeout: 20_000 }, () => {
  it.live("is refreshed for the question for the era and for probes, and for a call where the core asks", () =>
    Effect.gen(function* () {
      const server = yield* authorizing(() => "Bearer")
      server.state.isModern = true
      server.state.wanted = "2"
      const { session } = yield* open(HttpConnector.make({ url: server.url, authProvider: machine() }))
      assert.deepStrictEqual([session.era, server.state.issued], ["modern", 2])
      server.state.wanted = "3"
      assert.deepStrictEqual(yield* session.probe({ _tag: "discover" }), { _tag: "Answered" })
      server.state.wanted = "4"
      const refused = yield* run(session, (client) => client.callTool({ name: "x" }))
      assert.deepInclude(refused.requests[0], { fate: "refused" })
      assert.isTrue(yield* session.refresh)
      const again = yield* run(session, (client) => client.callTool({ name: "x" }))
      assert.isTrue(Exit.isSuccess(again.result))
      assert.isFalse(yield* session.refresh)
      assert.deepStrictEqual([server.state.issued, server.state.calls], [4, 1])
    }).pipe(Effect.scoped)
  )

  it.live("for want of scope is not refreshed: a person is asked for that and for what was granted before", () =>
    Effect.gen(function* () {
      const server = yield* authorizing(() => 'Bearer error="insufficient_scope", scope="write"')
      server.state.isModern = true
      const sentTo: Array<URL> = []
      const { session } = yield* open(HttpConnector.make({ url: server.url, authProvider: machine(sentTo) }))
      server.state.wanted = "wider"
      server.state.status = 403
      yield* run(session, (client) => client.callTool({ name: "x" }))
      assert.isFalse(yield* session.refresh)
      assert.deepStrictEqual(
        sentTo.map((url) => url.searchParams.get("scope")),
        ["read write"]
      )
      assert.strictEqual(server.state.issued, 1)
    }).pipe(Effect.scoped)
  )

  it.live("says nothing of the era where there is no other", () =>
    Effect.gen(function* () {
      const server = yield* authorizing(() => "Bearer")
      server.state.isModern = true
      server.state.wanted = "never"
      const failed = yield* Effect.flip(open(HttpConnector.make({ url: server.url, authProvider: machine() })))
      assert.deepInclude(failed, { _tag: "Refused", status: 401 })
      assert.isFalse(server.seen.some((each) => each.includes('"initialize"')))
    }).pipe(Effect.scoped)
  )
})
