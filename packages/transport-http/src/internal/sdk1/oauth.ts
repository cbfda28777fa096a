/**
 * OAuth as `@modelcontextprotocol/sdk` 1.x does it.
 */
import { auth, extractWWWAuthenticateParams } from "@modelcontextprotocol/sdk/client/auth.js"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { FetchLike } from "@modelcontextprotocol/sdk/shared/transport.js"
import * as OAuth from "../session/oauth.ts"

/** For one session. `fetch` sends without any header of the user's, since it sends to whoever the server names. */
export const make = (endpoint: URL, provider: OAuthClientProvider, fetch: FetchLike): OAuth.OAuth =>
  OAuth.make({
    endpoint,
    tokens: async () => provider.tokens(),
    auth: (wanted) => auth(provider, { ...wanted, fetchFn: fetch }),
    read: extractWWWAuthenticateParams
  })
