/** What exceeds a limit says which: whoever raises it must know what to set. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import type { Connector } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import { HttpConnector } from "../../src/index.ts"
import { eventually, initializeResult, makeHost, open, run, serve } from "./support.ts"

const limits = {
  messageBytes: 1024 * 1024,
  probeBytes: 1024,
  containers: 1000,
  members: 1000,
  eventIdBytes: 16,
  emptyDataBytes: 64
}

/** Answers `initialize`, has no standing stream, and answers everything else as the test says. */
const answering = (answer: (id: unknown, response: ServerResponse) => void) =>
  serve(({ method }, body, response) => {
    if (method !== "POST") return void response.writeHead(405).end()
    const { id, method: asked } = JSON.parse(body)
    if (id === undefined) return void response.writeHead(202).end()
    if (asked !== "initialize") return answer(id, response)
    response.writeHead(200, { "content-type": "application/json" }).end(initializeResult(id))
  })

/** Long enough to be looked at. */
const padding = `"padding":"${"x".repeat(300_000)}"`
const withResult = (id: unknown, result: string) => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{${result}}}`

/** The results that are too much, by the limit that they exceed. */
const results = {
  messageBytes: `"text":"${"x".repeat(limits.messageBytes)}"`,
  containers: `${padding},"all":[${Array(1001).fill("[]").join()}]`,
  members: `${padding},${Array.from({ length: 1001 }, (_, index) => `"n${index}":0`).join()}`
}

/** The events that are, whatever they say. */
const events = {
  eventIdBytes: `id: ${"i".repeat(17)}\ndata: {}\n\n`,
  emptyDataBytes: `${"data:\n".repeat(20)}\n`
}

const asJson = (id: unknown, result: string, response: ServerResponse) =>
  response.writeHead(200, { "content-type": "application/json" }).end(withResult(id, result))
const asEvent = (id: unknown, result: string, response: ServerResponse) =>
  response.writeHead(200, { "content-type": "text/event-stream" }).end(`data: ${withResult(id, result)}\n\n`)

/** What is known of a call to such a server. */
const evidenceOf = (answer: (id: unknown, response: ServerResponse) => void) =>
  Effect.gen(function* () {
    const { url } = yield* answering(answer)
    const { session } = yield* open(HttpConnector.make({ url, limits }))
    const { requests, result } = yield* run(session, (client) => client.callTool({ name: "any" }))
    return { evidence: requests[0]?.evidence, told: String(result) }
  })

describe("an answer that exceeds a limit", () => {
  for (const [how, respond] of Object.entries({ JSON: asJson, "an event": asEvent }))
    for (const [limit, result] of Object.entries(results))
      it.live(`says that it is limits.${limit}, as ${how}`, () =>
        Effect.gen(function* () {
          const { evidence, told } = yield* evidenceOf((id, response) => respond(id, result, response))
          const summary = expect.stringMatching(new RegExp(`limits\\.${limit}$`))
          expect(evidence).toMatchObject({ _tag: "TransportFailure", reason: "overflow", detail: { summary } })
          expect(told).toContain(`limits.${limit}`)
        })
      )

  for (const [limit, event] of Object.entries(events))
    it.live(`says that it is limits.${limit}`, () =>
      Effect.gen(function* () {
        const { evidence } = yield* evidenceOf((_, response) =>
          response.writeHead(200, { "content-type": "text/event-stream" }).end(event)
        )
        const summary = expect.stringMatching(new RegExp(`limits\\.${limit}$`))
        expect(evidence).toMatchObject({ _tag: "TransportFailure", reason: "overflow", detail: { summary } })
      })
    )

  for (const [how, respond] of Object.entries({ JSON: asJson, "an event": asEvent }))
    it.live(`says that it is limits.probeBytes where it answers a probe, as ${how}`, () =>
      Effect.gen(function* () {
        const { url } = yield* answering((id, response) => respond(id, `"text":"${"x".repeat(1100)}"`, response))
        const { session } = yield* open(HttpConnector.make({ url, limits }))
        expect(yield* session.probe({ _tag: "ping" })).toMatchObject({
          reason: "overflow",
          detail: { summary: "an answer is longer than limits.probeBytes" }
        })
      })
    )
})

it.live("a list that exceeds a limit says which", () =>
  Effect.gen(function* () {
    let page = 0
    const { url } = yield* answering((id, response) => {
      const tools = [1, 2].map((n) => ({ name: `tool-${page}-${n}`, inputSchema: { type: "object" } }))
      asJson(id, `"tools":${JSON.stringify(tools)},"nextCursor":"${++page}"`, response)
    })
    for (const [limit, most] of Object.entries({ entries: 5, pages: 3 })) {
      const { session } = yield* open(HttpConnector.make({ url, limits: { [limit]: most } }))
      expect(yield* Effect.flip(session.list("tools"))).toMatchObject({
        reason: "overflow",
        detail: { summary: `the list has more than limits.${limit}` }
      })
    }
  })
)

describe("a server that asks for too much", () => {
  const ping = (id: number) => `data: ${JSON.stringify({ jsonrpc: "2.0", id, method: "ping" })}\n\n`
  const asking = (count: number, options: HttpConnector.Options["limits"]) =>
    Effect.gen(function* () {
      const { url } = yield* answering((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(Array.from({ length: count }, (_, index) => ping(index)).join(""))
      })
      const losses: Array<string | undefined> = []
      const lost: Connector.SessionHost["lost"] = (_, detail) => void losses.push(detail?.summary)
      const { session } = yield* open(HttpConnector.make({ url, limits: options }), { ...makeHost(), lost })
      yield* Effect.forkChild(run(session, (client) => client.callTool({ name: "any" })))
      yield* eventually(() => losses.length > 0)
      return losses
    })

  it.live("loses its session, which says that it is limits.serverRequestsPerSecond", () =>
    Effect.gen(function* () {
      const losses = yield* asking(20, { serverRequestsPerSecond: 10 })
      expect(losses).toEqual(["more requests of the server's came within a second than limits.serverRequestsPerSecond"])
    })
  )

  it.live("loses its session, which says that it is limits.serverRequests", () =>
    Effect.gen(function* () {
      const losses = yield* asking(20, { serverRequests: 5 })
      expect(losses).toEqual(["more requests of the server's are in hand than limits.serverRequests"])
    })
  )
})
