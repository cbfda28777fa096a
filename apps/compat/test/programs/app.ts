/**
 * An app with both transports, as a user writes it: calls the tool `echo` of the server at a URL, and of the one that a command
 * starts, on two sessions each; says what came, and ends.
 */
import { Backend } from "@vmcp-keepalive/core"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Effect } from "effect"

const [url = "", command = "", ...args] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const policy = { stableAfter: 0 }
  const overHttp = yield* Backend.make({ id: "http", connector: HttpConnector.make({ url }), policy })
  const overStdio = yield* Backend.make({ id: "stdio", connector: StdioConnector.make({ command, args }), policy })
  const called: Array<unknown> = []
  for (const backend of [overHttp, overStdio]) {
    const echo = backend.use((client, signal) => client.callTool({ name: "echo" }, undefined, { signal }))
    const first = yield* echo
    yield* backend.probe
    yield* backend.reconnect
    yield* backend.awaitConnected
    const second = yield* echo
    called.push([backend.id, first.content, second.content])
  }
  console.log(JSON.stringify(called))
})

await Effect.runPromise(Effect.scoped(program))
