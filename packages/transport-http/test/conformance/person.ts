/** A person with a browser, as an OAuth client needs one: goes where it is sent, and brings the code back. */
import type { OAuthClientProvider, OAuthDiscoveryState } from "@modelcontextprotocol/sdk/client/auth.js"
import type { OAuthClientInformationMixed, OAuthTokens } from "@modelcontextprotocol/sdk/shared/auth.js"

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
  #information: OAuthClientInformationMixed | undefined
  #tokens: OAuthTokens | undefined = undefined
  #verifier = ""
  #discovered: OAuthDiscoveryState | undefined = undefined
  #sentTo: URL | undefined = undefined

  constructor(information: OAuthClientInformationMixed | undefined) {
    this.#information = information
  }

  /** Grants everything; the code, or `undefined` where there was nothing to grant. */
  async visit(): Promise<string | undefined> {
    const url = this.#sentTo
    this.#sentTo = undefined
    if (url === undefined) return undefined
    const response = await fetch(url, { redirect: "manual" })
    await response.body?.cancel()
    const back = URL.parse(response.headers.get("location") ?? "", url)
    return back?.searchParams.get("code") ?? undefined
  }

  clientInformation = () => this.#information
  saveClientInformation(information: OAuthClientInformationMixed): void {
    this.#information = information
  }
  tokens = () => this.#tokens
  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens
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
