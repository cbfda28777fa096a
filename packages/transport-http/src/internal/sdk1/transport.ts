/**
 * What the SDK's own transport over HTTP can do beside sending: finishing an authorization, and terminating the session.
 */
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { Fetch } from "../http/fetch.ts"
import * as Effect from "effect/Effect"
import * as StatusOnly from "../session/statusOnly.ts"
import type { Kind } from "../settings.ts"
import * as OAuth from "./oauth.ts"

/** What differs where there is an OAuth provider. */
export const withOAuth = ({
  authProvider,
  fetch
}: {
  readonly authProvider?: OAuthClientProvider | undefined
  readonly fetch?: Fetch | undefined
}): Pick<Kind<unknown>, "authorization" | "prepare"> => ({
  authorization:
    authProvider === undefined
      ? undefined
      : (endpoint) => OAuth.make({ endpoint, provider: authProvider, fetch: fetch ?? globalThis.fetch }),
  prepare: (wire) => {
    Object.assign(wire.transport, {
      terminateSession: async () => {
        await Effect.runPromise(StatusOnly.send(wire, "DELETE"))
      },
      finishAuth: async (authorizationCode: string) => {
        const { authorization } = wire
        if (authorization === undefined || !("finish" in authorization)) throw new Error("No auth provider")
        await (authorization as OAuth.OAuth).finish(authorizationCode)
      }
    })
  }
})
