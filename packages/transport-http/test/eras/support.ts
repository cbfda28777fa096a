/** Peers on servers of both eras, behind a fault proxy. */
import { Backend } from "@vmcp-keepalive/core"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { FaultProxy, type McpServer } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Stream } from "effect"
import { HttpPeerConnector, Peer } from "../../src/peer.ts"
import { quick } from "../backend/support.ts"
import { type Host, makeHost, open } from "../connector/support.ts"

type Options = Omit<HttpPeerConnector.Options, "url">

/** A session with a server behind a fault proxy. */
export const openPeer = Effect.fnUntraced(function* (
  server: { readonly port: number },
  options: Options = {},
  host: Host = makeHost()
) {
  const proxy = yield* FaultProxy.make({ target: { port: server.port } })
  const opened = yield* open(HttpPeerConnector.make({ url: `${proxy.url}/mcp`, ...options }), host)
  return { ...opened, proxy }
})

/** The state with a session that is newer than that. */
const connected = (backend: Backend.Backend<Peer.Peer>, generation: number) =>
  backend.changes.pipe(
    Stream.filter((state) => state._tag === "Connected"),
    Stream.filter((state) => state.generation > generation),
    Stream.runHead,
    Effect.flatMap((state) => Effect.orDie(Effect.fromOption(state))),
    Effect.timeout("15 seconds"),
    Effect.orDie
  )

/** Keeps a server alive through a proxy. While it starts, nothing is given up. */
export const keepPeer = Effect.fnUntraced(function* (
  server: Pick<McpServer.McpServer, "port" | "name">,
  options: Options = {},
  before: (proxy: FaultProxy.FaultProxy) => Effect.Effect<unknown> = () => Effect.void
) {
  const proxy = yield* FaultProxy.make({ target: { port: server.port } })
  yield* before(proxy)
  const backend = yield* Backend.make({
    id: server.name,
    connector: HttpPeerConnector.make({ url: `${proxy.url}/mcp`, ...options }),
    policy: {
      ...quick,
      circuit: "none",
      // that it changes twice within seconds is no flapping here
      replayBudget: "none",
      waitForSession: "15 seconds",
      interval: "3 seconds",
      timeout: "2 seconds"
    }
  })
  yield* backend.awaitConnected.pipe(Effect.timeout("20 seconds"), Effect.orDie)
  return {
    backend,
    proxy,
    /** Makes the server one of another era. One of both answers on sessions of its past, until it is found out. */
    become: (to: McpServer.ServerOfAnEra, era: McpServer.ServerOfAnEra["era"]) =>
      Effect.gen(function* () {
        const { generation } = yield* connected(backend, 0)
        yield* to.become(era)
        if (era === "dual") yield* connected(backend, generation)
      }),
    /** the era of the session that answers a call */
    era: backend.use(async (client) => {
      await client.request({ method: "tools/call", params: { name: "echo", arguments: { message: "era" } } })
      return client.era
    })
  }
})

export const hello: Message.Params = {
  protocolVersion: "2025-11-25",
  capabilities: { elicitation: { form: {} }, sampling: {} },
  clientInfo: { name: "a host", version: "1" }
}

/** Peers of somebody who answers what servers ask, and what they hear. */
export const person = (content: object) => {
  const heard: Array<Message.Notification> = []
  const abouts: Array<unknown> = []
  const answers: Array<readonly [method: string, related: unknown]> = []
  const sampled = { role: "assistant", model: "m", content: { type: "text", text: "sampled here" } }
  const peer = () =>
    Peer.make({
      initialize: hello,
      onMessage: (message, { relatedRequestId }, self) => {
        if (!("id" in message)) {
          heard.push(message)
          abouts.push(relatedRequestId)
          return
        }
        answers.push([message.method, relatedRequestId])
        const result = message.method === "sampling/createMessage" ? sampled : { action: "accept", content }
        self.answer({ jsonrpc: "2.0", id: message.id, result }).catch(() => {})
      }
    })
  return { heard, abouts, answers, peer }
}

/** A result as text; of a failure nothing. */
export const text = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? JSON.stringify(exit.value) : ""
