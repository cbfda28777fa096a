/**
 * OAuth as `@modelcontextprotocol/sdk` 1.x does it, behind the port of a session.
 */
import { auth, extractWWWAuthenticateParams } from "@modelcontextprotocol/sdk/client/auth.js"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { FetchLike } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { Head } from "../http/sender.ts"
import type { Authorization } from "../session/authorization.ts"

/** What it works with. */
export interface Options {
  readonly endpoint: URL
  readonly provider: OAuthClientProvider
  /** sends the requests of OAuth: without any header of the user's, since they go to whoever the server names */
  readonly fetch: FetchLike
}

/** What a server said that it wants. */
interface Challenge {
  readonly resourceMetadataUrl?: URL
  readonly scope?: string
}

/** An authorization that can also take the code that a person brings. */
export interface OAuth extends Authorization {
  readonly finish: (authorizationCode: string) => Promise<void>
}

/** For one session. */
export const make = ({ endpoint, fetch, provider }: Options): OAuth => {
  let challenge: Challenge = {}
  /** whether the last challenge calls for another token, and has not been met yet */
  let isDue = false
  let refreshing: Promise<boolean> | undefined
  /** what the last refresh could not meet: whoever is asked again would be sent to the authorization server once more */
  let unmet: string | undefined
  const token = async () => (await provider.tokens())?.access_token
  const authorize = (authorizationCode?: string) =>
    auth(provider, {
      serverUrl: endpoint,
      fetchFn: fetch,
      ...challenge,
      ...(authorizationCode === undefined ? {} : { authorizationCode })
    })
  const refresh = async (): Promise<boolean> => {
    const before = await token()
    const asked = JSON.stringify([before, challenge.scope, challenge.resourceMetadataUrl])
    if (!isDue || asked === unmet) return false
    isDue = false
    unmet = asked
    return (await authorize()) === "AUTHORIZED" && (await token()) !== before
  }
  return {
    token,
    challenged: (head) => {
      const { error, resourceMetadataUrl, scope } = extractWWWAuthenticateParams(responseOf(head))
      // 403 may be about this one request; more of a scope is wanted where it says so (RFC 6750, 3.1)
      if (head.status === 403 && error !== "insufficient_scope") return
      isDue = true
      // Metadata of the resource is the resource's own: at another origin it would be anybody's (RFC 9728, 7.7).
      const isOwn = resourceMetadataUrl?.origin === endpoint.origin
      challenge = {
        ...(isOwn && resourceMetadataUrl !== undefined ? { resourceMetadataUrl } : {}),
        ...(scope === undefined ? {} : { scope })
      }
    },
    // Once at a time, however many were rejected.
    refresh: () =>
      (refreshing ??= refresh().finally(() => {
        refreshing = undefined
      })),
    finish: async (authorizationCode) => {
      if ((await authorize(authorizationCode)) !== "AUTHORIZED") throw new Error("The server did not authorize")
    }
  }
}

const responseOf = (head: Head): Response => {
  const value = head.header("www-authenticate")
  return new Response(null, { status: head.status, headers: value === undefined ? {} : { "www-authenticate": value } })
}
