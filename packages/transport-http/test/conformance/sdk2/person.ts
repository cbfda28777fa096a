/** A person with a browser, as an OAuth client of SDK 2.x needs one: goes where it is sent, and brings back what it was given. */
import type {
  OAuthClientInformationContext,
  OAuthClientInformationMixed,
  OAuthClientProvider,
  OAuthDiscoveryState,
  OAuthTokens
} from "@modelcontextprotocol/client"

/** What an authorization server sends a person back with. */
export interface Grant {
  readonly authorizationCode: string
  /** who says that it is from it (RFC 9207) */
  readonly iss?: string
}

export class Person implements OAuthClientProvider {
  readonly redirectUrl = "http://127.0.0.1:3000/callback"
  /** the one that the suite expects where client metadata documents are supported */
  readonly clientMetadataUrl = "https://conformance-test.local/client-metadata.json"
  readonly clientMetadata = {
    client_name: "vmcp-keepalive-conformance",
    redirect_uris: [this.redirectUrl],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"]
  }
  readonly #given: OAuthClientInformationMixed | undefined
  /** by the issuer: what one authorization server knows of a client is nothing to another */
  readonly #registered = new Map<string | undefined, OAuthClientInformationMixed>()
  #tokens: OAuthTokens | undefined = undefined
  #verifier = ""
  #discovered: OAuthDiscoveryState | undefined = undefined
  #sentTo: URL | undefined = undefined

  constructor(information: OAuthClientInformationMixed | undefined) {
    this.#given = information
  }

  /** Grants everything; `undefined` where there was nothing to grant. */
  async visit(): Promise<Grant | undefined> {
    const url = this.#sentTo
    this.#sentTo = undefined
    if (url === undefined) return undefined
    const response = await fetch(url, { redirect: "manual" })
    await response.body?.cancel()
    const back = URL.parse(response.headers.get("location") ?? "", url)
    const [authorizationCode, iss] = [back?.searchParams.get("code"), back?.searchParams.get("iss")]
    if (typeof authorizationCode !== "string") return undefined
    return typeof iss === "string" ? { authorizationCode, iss } : { authorizationCode }
  }

  clientInformation(context?: OAuthClientInformationContext): OAuthClientInformationMixed | undefined {
    return this.#registered.get(context?.issuer) ?? (this.#registered.size === 0 ? this.#given : undefined)
  }
  saveClientInformation(information: OAuthClientInformationMixed, context?: OAuthClientInformationContext): void {
    this.#registered.set(context?.issuer, information)
  }
  tokens = () => this.#tokens
  /** What was discovered is not kept beyond an authorization: the resource may have moved to another server, and the SDK does not ask again by itself. */
  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens
    this.#discovered = undefined
  }
  codeVerifier = () => this.#verifier
  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier
  }
  discoveryState = () => this.#discovered
  saveDiscoveryState(state: OAuthDiscoveryState): void {
    this.#discovered = state
  }
  redirectToAuthorization(url: URL): void {
    this.#sentTo = url
  }
}
