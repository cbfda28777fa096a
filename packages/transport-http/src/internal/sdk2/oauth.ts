/**
 * OAuth as `@modelcontextprotocol/client` 2.x does it.
 */
import {
  auth,
  computeScopeUnion,
  extractWWWAuthenticateParams,
  isStrictScopeSuperset
} from "@modelcontextprotocol/client"
import type { FetchLike, OAuthClientProvider } from "@modelcontextprotocol/client"
import * as OAuth from "../session/oauth.ts"

/** For one session. `fetch` sends without any header of the user's, since it sends to whoever the server names. */
export const make = (endpoint: URL, provider: OAuthClientProvider, fetch: FetchLike): OAuth.OAuth =>
  OAuth.make({
    endpoint,
    tokens: async () => provider.tokens(),
    auth: async (wanted, widens) => {
      const options = { ...wanted, fetchFn: fetch }
      if (!widens) return auth(provider, options)
      // What was granted is asked for again, since another authorization replaces the one before.
      const granted = (await provider.tokens())?.scope
      const scope = computeScopeUnion(granted, wanted.scope)
      return auth(provider, {
        ...options,
        ...(scope === undefined ? {} : { scope }),
        forceReauthorization: wanted.authorizationCode === undefined && isStrictScopeSuperset(scope, granted)
      })
    },
    read: extractWWWAuthenticateParams
  })
