/** Enterprise-managed authorization (SEP-990): the identity provider's token is exchanged for a grant, without a person. */
import type { OAuthClientProvider, OAuthDiscoveryState } from "@modelcontextprotocol/sdk/client/auth.js"
import type { OAuthTokens } from "@modelcontextprotocol/sdk/shared/auth.js"

export class Employee implements OAuthClientProvider {
  readonly redirectUrl = undefined
  readonly clientMetadata = { redirect_uris: [], token_endpoint_auth_method: "client_secret_basic" }
  readonly #resource: string
  readonly #context: Readonly<Record<string, string>>
  #discovered: OAuthDiscoveryState | undefined = undefined
  #tokens: OAuthTokens | undefined = undefined

  constructor(resource: string, context: Readonly<Record<string, string>>) {
    this.#resource = resource
    this.#context = context
  }

  clientInformation = () => ({ client_id: this.#of("client_id"), client_secret: this.#of("client_secret") })
  discoveryState = () => this.#discovered
  saveDiscoveryState(state: OAuthDiscoveryState): void {
    this.#discovered = state
  }
  tokens = () => this.#tokens
  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens
  }
  // No person is sent anywhere, so there is nothing to verify.
  codeVerifier = () => ""
  saveCodeVerifier(): void {}
  redirectToAuthorization(): void {}

  async prepareTokenRequest(): Promise<URLSearchParams> {
    const response = await fetch(this.#of("idp_token_endpoint"), {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        requested_token_type: "urn:ietf:params:oauth:token-type:id-jag",
        subject_token: this.#of("idp_id_token"),
        subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
        audience: this.#discovered?.authorizationServerUrl ?? "",
        resource: this.#resource
      })
    })
    const { access_token: assertion }: { readonly access_token: string } = await response.json()
    return new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion })
  }

  #of(key: string): string {
    return this.#context[key] ?? ""
  }
}
