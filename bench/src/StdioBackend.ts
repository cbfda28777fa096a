/** A backend over stdio that connects again at once when its server is killed. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js"
import { Backend } from "@vmcp-keepalive/core"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Effect, Stream } from "effect"

/** Starts it, on a server of its own. */
export const make = Effect.fnUntraced(function* (id: string) {
  const server = yield* StdioServers.scripted()
  const backend = yield* Backend.make({
    id,
    connector: StdioConnector.make({ command: server.command, args: server.args }),
    policy: {
      interval: "1 hour",
      failureThreshold: 1,
      // a session that was called is stable, so that no backoff stands between it and the next one
      stableAfter: 0,
      backoff: { initial: "1 millis", cap: "1 millis" },
      circuit: "none"
    }
  })
  let generation = 0
  /** Waits for a session after the one that was waited for last. */
  const next = backend.changes.pipe(
    Stream.filter((state) => state._tag === "Connected" && state.generation > generation),
    Stream.runForEachWhile((state) =>
      Effect.sync(() => {
        if (state._tag === "Connected") generation = state.generation
        return false
      })
    )
  )
  /** The process of the present session, which leads a group of that number. */
  const pid = Effect.map(backend.use(askPid), Number)
  /** One life of a server: it is called and killed, and there is the next one. Gives the group of the one that was killed. */
  const cycle = Effect.gen(function* () {
    const group = yield* pid
    process.kill(group, "SIGKILL")
    yield* next
    return group
  })
  yield* next
  return { server, backend, pid, next, cycle }
})

const askPid = async (client: Client) => {
  const { content } = CallToolResultSchema.parse(await client.callTool({ name: "pid", arguments: {} }))
  const [answer] = content
  if (answer?.type !== "text") throw new Error("the server does not say its pid")
  return answer.text
}
