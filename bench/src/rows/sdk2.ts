/**
 * What SDK 2 costs through a backend, beside its own client and transports as they are: in the modern era (MCP 2026-07-28), which both
 * find by asking (`auto`), and in the legacy era, which both begin with `initialize`.
 */
import type { Client } from "@modelcontextprotocol/client"
import { Backend, type Connector } from "@vmcp-keepalive/core"
import { ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http/sdk2"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio/sdk2"
import { Effect, Exit, Scope } from "effect"
import { fileURLToPath } from "node:url"
import * as Calls from "../Calls.ts"
import * as LeastTransport from "../LeastTransport.ts"
import * as Sdk2Client from "../Sdk2Client.ts"
import type { Row } from "../Row.ts"
import * as Session from "../Session.ts"
import * as Started from "../Started.ts"

const eras = ["modern", "legacy"] as const

const started = (program: string) =>
  Effect.map(Started.start<{ readonly mcp: string }>(fileURLToPath(program), []), ({ said }) => said.mcp)

/** answers at once */
const instant = started(import.meta.resolve("../programs/instantModernServer.js"))

/** SDK 2's handler */
const real = started(import.meta.resolve("../programs/modernServer.js"))

const http = (url: string, era: Sdk2Client.Era) =>
  HttpConnector.make({ url, versionNegotiation: Sdk2Client.negotiation(era) })

const echo = (client: Client) => client.callTool({ name: "echo", arguments: { message: "hello" } })

// ----------------------------------------------------------------------------------------------------------- calls

const sdkCalls = (era: Sdk2Client.Era) => `SDK 2 client.callTool, ${era}`
const ourCalls = (era: Sdk2Client.Era) => `backend.use(client.callTool), ${era}`

/** The calls of both in one era. */
const callers = <R>(era: Sdk2Client.Era, bare: Client, connector: Connector.Connector<Client, R>) =>
  Effect.gen(function* () {
    const backend = yield* Backend.make({ id: `sdk2-${era}`, connector })
    yield* backend.awaitConnected
    yield* backend.use((client) => Promise.resolve(Sdk2Client.expectEra(client, era)))
    return [
      Calls.promised(sdkCalls(era), () => echo(bare)),
      Calls.effect(ourCalls(era), Effect.orDie(backend.use(echo)))
    ]
  })

/** The calls of both in one era, over HTTP. */
const overHttp = (era: Sdk2Client.Era, url: string) =>
  Effect.flatMap(Sdk2Client.http(url, era), (bare) => callers(era, bare, http(url, era)))

const least = "SDK 2 client.callTool over undici's dispatch, modern"

/** The calls of the client on the least transport: what no transport can go below. */
const leastOver = (url: string) =>
  Effect.gen(function* () {
    const transport = yield* LeastTransport.make(url)
    const client = yield* Sdk2Client.connected(() => transport)
    return Calls.promised(least, () => echo(client))
  })

export const sdk2Call: Row = {
  name: "sdk2-call",
  title: "A tool call of an SDK 2 client on a healthy HTTP connection, to servers that answer at once",
  unit: "µs",
  run: Effect.gen(function* () {
    const modern = yield* instant
    const legacy = yield* ScriptedServer.make({ answers: "json" })
    const all = [
      ...(yield* overHttp("modern", modern)),
      yield* leastOver(modern),
      ...(yield* overHttp("legacy", legacy.url))
    ]
    const results = yield* Calls.interleave(all, { times: 300, rounds: 21, warmUp: 10 })
    return {
      ...Calls.measured(results, "it"),
      limits: [
        Calls.limit(results, {
          quantity: "wall",
          of: ourCalls("modern"),
          beside: sdkCalls("modern"),
          most: 0.6,
          because: "no fetch, no Response and no Web stream stand between a message and its socket"
        })
      ]
    }
  })
}

export const sdk2CallReal: Row = {
  name: "sdk2-call-real",
  title: "A tool call of an SDK 2 client on a healthy HTTP connection, to SDK 2's handler",
  unit: "µs",
  run: Effect.gen(function* () {
    const url = yield* real
    const all = [...(yield* overHttp("modern", url)), yield* leastOver(url), ...(yield* overHttp("legacy", url))]
    const results = yield* Calls.interleave(all, { times: 300, rounds: 21, warmUp: 10 })
    return {
      ...Calls.measured(results, "it"),
      limits: [
        Calls.limit(results, {
          quantity: "wall",
          of: ourCalls("modern"),
          beside: least,
          most: 1.2,
          because:
            "what the transport and the backend add is little beside what the socket, the server and the client take"
        })
      ]
    }
  })
}

export const sdk2StdioCall: Row = {
  name: "sdk2-stdio-call",
  title: "A tool call of an SDK 2 client on a healthy stdio connection to SDK 2's serveStdio",
  unit: "µs",
  run: Effect.gen(function* () {
    const { args, command } = yield* StdioServers.sdk2({ era: "dual" })
    const all = yield* Effect.forEach(eras, (era) =>
      Effect.flatMap(Sdk2Client.stdio({ command, args }, era), (bare) =>
        callers(era, bare, StdioConnector.make({ command, args, versionNegotiation: Sdk2Client.negotiation(era) }))
      )
    )
    const results = yield* Calls.interleave(all.flat(), { times: 500, rounds: 21, warmUp: 10 })
    return Calls.measured(results, "it")
  })
}

// -------------------------------------------------------------------------------------------------------- sessions

/** so many in a round that the first of them, which may find no connection, does not count */
const sessions = 25

const sdkConnects = (era: Sdk2Client.Era) => `SDK 2 client.connect, ${era}`
const ourConnects = (era: Sdk2Client.Era) => `connector.open, ${era}`

export const sdk2Connect: Row = {
  name: "sdk2-connect",
  title: "A session is opened with SDK 2 over HTTP to SDK 2's handler, one after the other",
  unit: "µs",
  run: Effect.gen(function* () {
    const mcp = yield* real
    const results = yield* Calls.interleave(
      eras.flatMap((era) => [
        opening(sdkConnects(era), Sdk2Client.http(mcp, era)),
        opening(ourConnects(era), Session.open(http(mcp, era)))
      ]),
      { times: sessions, rounds: 31, warmUp: 10 }
    )
    return {
      ...Calls.measured(results, "it, and for its end"),
      limits: [
        Calls.limit(results, {
          quantity: "wall",
          of: ourConnects("modern"),
          beside: sdkConnects("modern"),
          most: 1.05,
          because: "the request is the same one"
        })
      ]
    }
  })
}

/** Opens sessions; all end after the last one. */
const opening = (name: string, open: Effect.Effect<unknown, unknown, Scope.Scope>): Calls.Caller => ({
  name,
  make: async (times, took) => {
    const scope = await Effect.runPromise(Scope.make())
    for (let left = times; left > 0; left--) {
      const began = performance.now()
      await Effect.runPromise(Scope.provide(open, scope))
      took(performance.now() - began)
    }
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
})
