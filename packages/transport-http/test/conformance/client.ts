/**
 * What the conformance suite runs as the client under test: `node client.ts <url>`. It does what an app would do with a
 * backend; which scenario it is, and its credentials, come in the environment.
 */
import { auth } from "@modelcontextprotocol/sdk/client/auth.js"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from "@modelcontextprotocol/sdk/client/auth-extensions.js"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Backend, type BackendError } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { HttpConnector } from "../../src/index.ts"
import { Employee } from "./employee.ts"
import { Person } from "./person.ts"

const url = process.argv.at(-1) ?? ""
const scenario = process.env["MCP_CONFORMANCE_SCENARIO"] ?? ""
const context: Readonly<Record<string, string>> = JSON.parse(process.env["MCP_CONFORMANCE_CONTEXT"] ?? "{}")

type Use<A> = Effect.Effect<A, BackendError.CallError>

const makeClient = () => {
  const client = new Client(
    { name: "vmcp-keepalive-conformance", version: "0.0.0" },
    { capabilities: { elicitation: { form: { applyDefaults: true } } } }
  )
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: {} }))
  return client
}

/** Who answers for the client; where there is a person, an authorization has a second half. */
const credentials = (): { readonly provider?: OAuthClientProvider; readonly person?: Person } => {
  const { client_id: clientId = "", client_secret: clientSecret, private_key_pem: privateKey = "" } = context
  const algorithm = context["signing_algorithm"] ?? "ES256"
  if (scenario === "auth/client-credentials-jwt")
    return { provider: new PrivateKeyJwtProvider({ clientId, privateKey, algorithm }) }
  if (scenario === "auth/client-credentials-basic")
    return { provider: new ClientCredentialsProvider({ clientId, clientSecret: clientSecret ?? "" }) }
  if (scenario === "auth/cross-app-access-complete-flow") return { provider: new Employee(url, context) }
  if (!scenario.startsWith("auth/")) return {}
  const person = new Person(
    clientId === ""
      ? undefined
      : { client_id: clientId, ...(clientSecret === undefined ? {} : { client_secret: clientSecret }) }
  )
  return { provider: person, person }
}

/** What an app wants of the server. */
const work = (backend: Backend.Backend<Client>): Use<unknown> => {
  const listTools = backend.use((client, signal) => client.listTools(undefined, { signal }))
  const callTool = (name: string, parameters: Record<string, unknown> = {}) =>
    backend.use((client, signal) => client.callTool({ name, arguments: parameters }, undefined, { signal }))
  switch (scenario) {
    case "initialize":
      return listTools
    case "tools_call":
      return callTool("add_numbers", { a: 5, b: 3 })
    case "elicitation-sep1034-client-defaults":
      return callTool("test_client_elicitation_defaults")
    case "sse-retry":
      return callTool("test_reconnection")
    default:
      return Effect.flatMap(listTools, ({ tools }) => callTool(tools[0]?.name ?? "test-tool"))
  }
}

const main = Effect.gen(function* () {
  const { person, provider } = credentials()
  const backend = yield* Backend.make({
    id: scenario,
    connector: HttpConnector.make({
      url,
      client: makeClient,
      ...(provider === undefined ? {} : { authProvider: provider })
    }),
    policy: { backoff: { initial: "100 millis" }, waitForSession: "2 seconds" }
  })
  if (person === undefined) return yield* work(backend)

  // The person is sent to the authorization server, the code comes back, and the backend is told to go on.
  const authorize = Effect.gen(function* () {
    const authorizationCode = yield* Effect.promise(() => person.visit())
    if (authorizationCode === undefined) return false
    yield* Effect.tryPromise(() => auth(person, { serverUrl: url, authorizationCode }))
    yield* backend.reconnect
    return true
  })
  const settled = backend.changes.pipe(
    Stream.filter(({ _tag }) => _tag === "Connected" || _tag === "NeedsAuth" || _tag === "CircuitOpen"),
    Stream.runHead
  )
  yield* settled
  yield* authorize
  // A call that needs more than was granted sends the person there again: as often as a person bears.
  return yield* work(backend).pipe(
    Effect.catch((error) => Effect.flatMap(authorize, (again) => (again ? work(backend) : Effect.fail(error)))),
    Effect.retry({ times: 1 })
  )
})

await Effect.runPromise(Effect.scoped(main))
