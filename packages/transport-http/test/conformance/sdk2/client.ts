/**
 * What the conformance suite runs as the client under test: `node client.ts <url>`. It does what an app would do with a
 * backend of SDK 2.x; which scenario it is, and its credentials, come in the environment.
 */
import { auth, Client } from "@modelcontextprotocol/client"
import { Backend, type BackendError } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { HttpConnector } from "../../../src/sdk2/index.ts"
import { Person } from "./person.ts"

/** What the suite says of a scenario. */
interface Context {
  readonly client_id?: string
  readonly client_secret?: string
  /** the calls that it wants to see */
  readonly toolCalls?: ReadonlyArray<{ readonly name: string; readonly arguments?: Record<string, unknown> }>
}

const url = process.argv.at(-1) ?? ""
const scenario = process.env["MCP_CONFORMANCE_SCENARIO"] ?? ""
const context: Context = JSON.parse(process.env["MCP_CONFORMANCE_CONTEXT"] ?? "{}")

const makeClient = () => {
  const client = new Client(
    { name: "vmcp-keepalive-conformance", version: "0.0.0" },
    { capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} } }
  )
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: {} }))
  return client
}

const personOf = ({ client_id, client_secret }: Context): Person =>
  new Person(
    client_id === undefined ? undefined : { client_id, ...(client_secret === undefined ? {} : { client_secret }) }
  )

type Kept = Backend.Backend<Client>
type Use<A> = Effect.Effect<A, BackendError.CallError>

const call = (backend: Kept, name: string, parameters: Record<string, unknown> = {}): Use<unknown> =>
  backend.use((client, signal) => client.callTool({ name, arguments: parameters }, { signal }))

/** What an app wants of the server. */
const work = (backend: Kept): Use<unknown> =>
  Effect.gen(function* () {
    const { tools } = yield* backend.use((client, signal) => client.listTools(undefined, { signal }))
    // what a server refuses is for the suite to judge
    const each = (names: ReadonlyArray<string>) =>
      Effect.forEach(names, (name) => Effect.ignore(call(backend, name)), { discard: true })
    switch (scenario) {
      case "initialize":
      case "json-schema-ref-no-deref":
        return
      case "tools_call":
        return yield* call(backend, "add_numbers", { a: 5, b: 3 })
      case "http-standard-headers": {
        yield* each(tools.map(({ name }) => name))
        const { resources } = yield* backend.use((client) => client.listResources())
        for (const { uri } of resources) yield* backend.use((client) => client.readResource({ uri }))
        const { prompts } = yield* backend.use((client) => client.listPrompts())
        for (const { name } of prompts) yield* backend.use((client) => client.getPrompt({ name }))
        return
      }
      default:
        if (context.toolCalls !== undefined)
          return yield* Effect.forEach(
            context.toolCalls,
            (wanted) => Effect.ignore(call(backend, wanted.name, wanted.arguments)),
            { discard: true }
          )
        if (scenario.startsWith("auth/")) return yield* call(backend, tools[0]?.name ?? "test-tool")
        return yield* each(tools.map(({ name }) => name))
    }
  })

const main = Effect.gen(function* () {
  const person = scenario.startsWith("auth/") ? personOf(context) : undefined
  const backend: Kept = yield* Backend.make({
    id: scenario,
    connector: HttpConnector.make({
      url,
      client: makeClient,
      ...(person === undefined ? {} : { authProvider: person })
    }),
    policy: { backoff: { initial: "100 millis" }, waitForSession: "2 seconds" }
  })
  if (person === undefined) return yield* work(backend)

  // The person is sent to the authorization server, the code comes back, and the backend is told to go on.
  const authorize = Effect.gen(function* () {
    const grant = yield* Effect.promise(() => person.visit())
    if (grant === undefined) return false
    yield* Effect.tryPromise(() => auth(person, { serverUrl: url, ...grant }))
    yield* backend.reconnect
    return true
  })
  yield* backend.changes.pipe(
    Stream.filter(({ _tag }) => _tag === "Connected" || _tag === "NeedsAuth" || _tag === "CircuitOpen"),
    Stream.runHead
  )
  yield* authorize
  // A call that needs more than was granted sends the person there again: as often as a person bears.
  return yield* work(backend).pipe(
    Effect.catch((error) => Effect.flatMap(authorize, (again) => (again ? work(backend) : Effect.fail(error)))),
    Effect.retry({ times: 1 })
  )
})

await Effect.runPromise(Effect.scoped(main))
