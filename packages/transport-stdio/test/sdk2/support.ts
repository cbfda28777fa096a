/** Backends of the client of SDK 2.x on real servers in child processes. */
import { assert } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/client"
import type { Connector } from "@vmcp-keepalive/core"
import type { McpServer, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { StdioConnector } from "../../src/sdk2/index.ts"
import { keeping } from "../backend/support.ts"
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
