/**
 * OAuth as an SDK does it, behind the port of a session: when its `auth()` is asked, and for what.
 */
import type { Head } from "../http/sender.ts"
import type { Authorization } from "./authorization.ts"

/** What it works with. */
export interface Options {
  readonly endpoint: URL
  /** the tokens of the user's provider */
  readonly tokens: () => Promise<{ readonly access_token: string } | undefined>
  /** the SDK's `auth()` */
  readonly auth: (wanted: Wanted) => Promise<"AUTHORIZED" | "REDIRECT">
  /** the SDK's `extractWWWAuthenticateParams` */
  readonly read: (response: Response) => Challenge & { readonly error?: string }
}

/** What a server said that it wants. */
interface Challenge {
  readonly resourceMetadataUrl?: URL
  readonly scope?: string
}

/** What the SDK's `auth()` is asked for. */
export interface Wanted extends Challenge {
  readonly serverUrl: URL
  readonly authorizationCode?: string
  /** the issuer that the person's browser brought with the code (RFC 9207); of SDK 2.x only */
  readonly iss?: string
}

/** An authorization that can also take the code that a person brings. */
export interface OAuth extends Authorization {
  readonly finish: (authorizationCode: string, iss?: string) => Promise<void>
}

/** For one session. */
export const make = ({ auth, endpoint, read, tokens }: Options): OAuth => {
  let challenge: Challenge = {}
  /** whether the last challenge calls for another token, and has not been met yet */
  let isDue = false
  let refreshing: Promise<boolean> | undefined
  /** what the last refresh could not meet: whoever is asked again would be sent to the authorization server once more */
  let unmet: string | undefined
  const token = async () => (await tokens())?.access_token
  const authorize = (authorizationCode?: string, iss?: string) =>
    auth({
      serverUrl: endpoint,
      ...challenge,
      ...(authorizationCode === undefined ? {} : { authorizationCode }),
      ...(iss === undefined ? {} : { iss })
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
      const { error, resourceMetadataUrl, scope } = read(responseOf(head))
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
    finish: async (authorizationCode, iss) => {
      if ((await authorize(authorizationCode, iss)) !== "AUTHORIZED") throw new Error("The server did not authorize")
    }
  }
}

const responseOf = (head: Head): Response => {
  const value = head.header("www-authenticate")
  return new Response(null, { status: head.status, headers: value === undefined ? {} : { "www-authenticate": value } })
}
