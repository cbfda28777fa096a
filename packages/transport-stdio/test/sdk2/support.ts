/** Backends of the client of SDK 2.x on real servers in child processes. */
import { assert } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/client"
import type { Connector } from "@vmcp-keepalive/core"
import { type McpServer, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, FileSystem } from "effect"
import { StdioConnector } from "../../src/sdk2/index.ts"
import { inShell, keeping, quickShutdown } from "../backend/support.ts"
import { makeHost } from "../connector/support.ts"

type More = Omit<StdioConnector.Options, "command" | "args">

/** Keeps a server alive. */
export const keep = keeping(
  (command, more: More | undefined) => StdioConnector.make({ ...command, ...more }),
  (client, call, signal) => client.callTool(call, { signal })
)

/** A connector for one of the testkit's servers. */
export const connectorOf = ({ args, command }: StdioServers.StdioServer, more: More = {}) =>
  StdioConnector.make({ command, args, ...more })

/** A host that remembers, also of which era the server is. */
export const hostWithMemory = (legacyUntil?: number) => {
  const era: Connector.EraMemory = { legacyUntil }
  return { ...makeHost(), era }
}

/** Opens a session, uses it, and closes it; of which era it is. */
export const eraOf = (
  connector: Connector.Connector<Client>,
  server: StdioServers.StdioServer,
  host = hostWithMemory()
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const session = yield* connector.open(host)
      assert.isTrue(session.stateful)
      assert.strictEqual(session.client.getProtocolEra(), session.era)
      const { client } = session.call()
      const answer = yield* Effect.promise(() => client.callTool(server.echo("hi")))
      assert.include(JSON.stringify(answer), "hi")
      return session.era
    })
  )

/** The same call of a server, and the era of the session that answers it. */
export const eraOfCall = (client: Client, call: McpServer.Call) =>
  client.callTool(call).then(() => client.getProtocolEra())

/** A message that was sent to it. */
export interface Said {
  readonly id?: string | number
  readonly method: string
  readonly params?: { readonly requestId?: string | number; readonly name?: string }
}

/** Keeps a server alive, and reads what it was sent; `line` is what a shell makes of its command. */
export const overheard = Effect.fnUntraced(function* (
  program: StdioServers.Sdk2Program["era"] | StdioServers.Sdk2Program,
  options: Parameters<typeof keep>[1] = {},
  line: (server: string) => string = (server) => server
) {
  const fs = yield* FileSystem.FileSystem
  const file = `${yield* fs.makeTempDirectoryScoped()}/said.jsonl`
  const server = inShell(
    yield* StdioServers.sdk2(typeof program === "string" ? { era: program } : program),
    (command) => `tee ${file} | ${line(command)}`
  )
  const kept = yield* keep(server, { ...options, connector: { shutdown: quickShutdown, ...options.connector } })
  const said = Effect.map(fs.readFileString(file), (content) =>
    content
      .split("\n")
      .slice(0, -1)
      .map((message): Said => JSON.parse(message))
  )
  return { ...kept, server, said, methods: Effect.map(said, (all) => all.map(({ method }) => method)) }
})
