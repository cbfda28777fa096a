/** What passes between the requests of a session and its wire. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
/* oxlint-disable unicorn/prefer-add-event-listener -- the transport is no EventTarget */
import { describe, expect, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { CallToolResultSchema, EmptyResultSchema, McpError } from "@modelcontextprotocol/sdk/types.js"
import { Evidence } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { ClientTransport, type Message, RequestRecord, Requests } from "../src/index.ts"
import { begin, connect, handlers, idle, type Link, only } from "./support.ts"

const echo = { name: "echo" }
const hang = { name: "hang" }

/** Requests whose wire keeps what it is handed, and whose client keeps what it gets. */
const bare = (request: Requests.Wire["request"] = () => {}) => {
  const subscriptions = new Set<string>()
  const sent: Array<Message.Message> = []
  const got: Array<Message.Message> = []
  const requests = new Requests.Requests(subscriptions, {
    request: (message, pending, options) => {
      sent.push(message)
      request(message, pending, options)
    },
    transmit: async (message) => void sent.push(message),
    deliver: (message) => void got.push(message)
  })
  return { got, requests, sent, subscriptions }
}

const request = (id: Message.Id, method: string, params?: Message.Params): Message.Request => ({
  jsonrpc: "2.0",
  id,
  method,
  ...(params === undefined ? {} : { params })
})

describe("a further leg of a request", () => {
  it.live("has a record of its own, after that of the first", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      // A client that answers what the server asked for by sending the parameters again, with something added.
      const send = link.client.request.bind(link.client)
      link.client.request = async (asked, schema, options) => {
        await send(asked, schema, options)
        const { method, params } = asked
        return send({ method, params: { ...params, arguments: {} } }, schema, options)
      }
      const { ended, records } = begin(link, (client) => client.callTool(echo))
      expect(records.length).toBe(1)
      yield* Effect.promise(() => ended)
      expect(records).toMatchObject([
        { method: "tools/call", tool: "echo", fate: "answered", settled: true },
        { method: "tools/call", tool: "echo", fate: "answered" }
      ])
      expect(link.sent.filter((method) => method === "tools/call").length).toBe(2)
    }).pipe(Effect.scoped)
  )

  it.live("that is cut leaves the first one answered", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const send = link.client.request.bind(link.client)
      link.client.request = async (asked, schema, options) => {
        await send(asked, schema, options)
        const second = send({ method: asked.method, params: { ...asked.params, name: "hang" } }, schema, options)
        link.requests.fail(only(link.requests), Evidence.transportFailure("stream_cut"), new Error("cut"))
        return second
      }
      const { ended, records } = begin(link, (client) => client.callTool(echo))
      expect(yield* Effect.promise(() => ended)).toMatchObject({ message: "cut" })
      expect(records).toMatchObject([
        { fate: "answered", evidence: { _tag: "Answered" } },
        { fate: "dispatched", evidence: { reason: "stream_cut" } }
      ])
    }).pipe(Effect.scoped)
  )
})

describe("what a request is recognized by", () => {
  it("is in its parameters where there are any, and in the request where there are none", () => {
    const { requests } = bare()
    const seen: Array<{ readonly inRequest: number; readonly inParams: number }> = []
    const send = (made: Requests.Question) => {
      seen.push({
        inRequest: Object.getOwnPropertySymbols(made).length,
        inParams: Object.getOwnPropertySymbols(made.params ?? {}).length
      })
      return Promise.resolve()
    }
    void requests.track(new RequestRecord.Record("ping"), false, { method: "ping" }, send)
    const params = { uri: "memo://one" }
    void requests.track(new RequestRecord.Record("a"), false, { method: "a", params }, send)
    expect(seen).toEqual([
      { inRequest: 1, inParams: 0 },
      { inRequest: 0, inParams: 1 }
    ])
    // the caller's own is left alone
    expect(Object.getOwnPropertySymbols(params)).toEqual([])
  })

  it("is not seen by JSON", () => {
    const { requests } = bare()
    let text = ""
    const send = (made: Requests.Question) => {
      text = JSON.stringify(made)
      return Promise.resolve()
    }
    void requests.track(new RequestRecord.Record("a"), false, { method: "a", params: { b: 1 } }, send)
    expect(text).toBe('{"method":"a","params":{"b":1}}')
  })
})

describe("the id of a request", () => {
  it("may be a string, of which an answer with a like number is none", async () => {
    const { got, requests } = bare()
    const ended = requests.send(request("a-1", "ping"))
    const other = requests.send(request("7", "ping"))
    requests.received({ jsonrpc: "2.0", id: Number.NaN, result: {} })
    requests.received({ jsonrpc: "2.0", id: "a-1", result: { mine: true } })
    await ended
    requests.received({ jsonrpc: "2.0", id: 7, result: {} })
    expect(got).toEqual([{ jsonrpc: "2.0", id: "a-1", result: { mine: true } }])
    requests.received({ jsonrpc: "2.0", id: "7", result: {} })
    await other
    expect(requests.pending.size).toBe(0)
  })

  it('comes back to the client as it was sent: some servers answer 7 with "7"', async () => {
    const { got, requests } = bare()
    const ended = requests.send(request(7, "ping"))
    requests.received({ jsonrpc: "2.0", id: "7", result: { mine: true } })
    await ended
    expect(got).toEqual([{ jsonrpc: "2.0", id: 7, result: { mine: true } }])
    const refused = requests.send(request(8, "ping"))
    const { record } = only(requests)
    requests.received({ jsonrpc: "2.0", id: "8", error: { code: -32601, message: "no" } })
    await refused
    expect(got.at(-1)).toEqual({ jsonrpc: "2.0", id: 8, error: { code: -32601, message: "no" } })
    expect(record).toMatchObject({ fate: "answered", evidence: { _tag: "ErrorAnswer", code: -32601 } })
  })

  it("is no other's that JavaScript takes for the same number: an answer to nothing that could be read is none to 0", async () => {
    const { requests } = bare()
    void requests.send(request(0, "ping"))
    const { record } = only(requests)
    for (const id of ["", " ", "0x0", "0.0", "-0"])
      requests.received({ jsonrpc: "2.0", id, error: { code: -32700, message: "Parse error" } })
    expect(record).toMatchObject({ fate: "unsent", evidence: undefined })
    expect(requests.pending.size).toBe(1)
  })

  it("is cancelled as it was sent, also as a string", async () => {
    const { requests, sent } = bare((_message, pending) => {
      pending.record.fate = "dispatched"
    })
    void requests.send(request("a-1", "tools/call", { name: "hang" }))
    const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "a-1" } } as const
    await requests.send(cancelled)
    await requests.send(cancelled)
    expect(requests.pending.size).toBe(0)
    expect(sent.map((message) => "method" in message && message.method)).toEqual([
      "tools/call",
      "notifications/cancelled"
    ])
  })
})

describe("a message of the server's", () => {
  it("reaches the client with what is known of it, unless it answers what is not under way", () => {
    const got: Array<unknown> = []
    const requests = new Requests.Requests(new Set(), {
      request: () => {},
      transmit: () => Promise.resolve(),
      deliver: (message, about) => void got.push([message, about])
    })
    const ping = request("server-1", "ping")
    const told = { jsonrpc: "2.0", method: "notifications/message", params: {} } as const
    requests.received(ping, { relatedRequestId: 3 })
    requests.received(told)
    requests.received({ jsonrpc: "2.0", id: 99, result: {} })
    requests.received({ jsonrpc: "2.0", error: { code: -32700, message: "Parse error" } })
    expect(got).toEqual([
      [ping, { relatedRequestId: 3 }],
      [told, undefined]
    ])
  })
})

describe("a request whose sending throws", () => {
  it("fails as unsent, with that error", async () => {
    const broken = new Error("broken pipe")
    const { requests } = bare(() => {
      throw broken
    })
    const record = new RequestRecord.Record("ping")
    const ended = requests.track(record, false, { method: "ping", params: {} }, (made) =>
      requests.send({ jsonrpc: "2.0", id: 0, ...made })
    )
    await expect(ended).rejects.toBe(broken)
    expect(record).toMatchObject({
      fate: "unsent",
      evidence: { _tag: "TransportFailure", reason: "unknown" },
      settled: true
    })
    expect(requests.pending.size).toBe(0)
  })

  it("keeps what its transport wrote down before", async () => {
    const refusal = Evidence.refused({ status: 400, withSession: true })
    const { requests } = bare((_message, { record }) => {
      record.met("refused", refusal)
      throw "no"
    })
    const record = new RequestRecord.Record("ping")
    const result: unknown = await new Promise((resolve) => {
      requests.ask({ method: "ping", record }, resolve)
    })
    expect(result).toBe(undefined)
    expect(record).toMatchObject({ fate: "refused", evidence: refusal, settled: true })
  })
})

describe("after the end of a session", () => {
  it("nothing is sent: no request, no notification, no answer, no cancellation", async () => {
    const { requests, sent } = bare((_message, { record }) => {
      record.fate = "dispatched"
    })
    void requests.send(request(0, "tools/call", { name: "hang" }))
    requests.close()
    const before = sent.length
    await expect(requests.send(request(1, "ping"))).rejects.toThrow("Not connected")
    await expect(requests.send({ jsonrpc: "2.0", method: "notifications/message" })).rejects.toThrow("Not connected")
    await expect(requests.send({ jsonrpc: "2.0", id: "s", result: {} })).rejects.toThrow("Not connected")
    await requests.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 0 } })
    const record = new RequestRecord.Record("ping")
    const results: Array<unknown> = []
    requests.ask({ method: "ping", record }, (result) => results.push(result))()
    expect(results).toEqual([undefined])
    expect(record).toMatchObject({ fate: "unsent", settled: true })
    expect(sent.length).toBe(before)
  })

  it("questions of the transport's own have ended, each once", () => {
    const { requests } = bare((_message, { record }) => {
      record.fate = "dispatched"
    })
    const records = [new RequestRecord.Record("ping"), new RequestRecord.Record("tools/list")]
    const results: Array<unknown> = []
    const cancels = records.map((record) =>
      requests.ask({ method: record.method, record }, (result) => results.push([record.method, result]))
    )
    const ids = [...requests.pending.keys()]
    requests.close(Evidence.transportFailure("process_exit"))
    requests.close()
    expect(requests.pending.size).toBe(0)
    for (const id of ids) requests.received({ jsonrpc: "2.0", id, result: {} })
    for (const cancel of cancels) cancel()
    expect(results).toEqual([
      ["ping", undefined],
      ["tools/list", undefined]
    ])
    expect(records).toMatchObject(
      records.map(() => ({ fate: "dispatched", evidence: { reason: "process_exit" }, settled: true }))
    )
  })
})

describe("a transport that the client has closed", () => {
  it("hands on nothing, and says so once", async () => {
    const told: Array<string> = []
    const transport = new ClientTransport.ClientTransport({
      subscriptions: new Set(),
      request: () => {},
      transmit: () => Promise.resolve(),
      sessionId: () => "s",
      setProtocolVersion: (version) => void told.push(version),
      closed: () => void told.push("closed")
    })
    transport.onclose = () => void told.push("onclose")
    transport.onmessage = () => void told.push("onmessage")
    transport.setProtocolVersion("2025-11-25")
    expect(transport.sessionId).toBe("s")
    transport.deliver(request(0, "ping"))
    await transport.close()
    await transport.close()
    transport.deliver(request(1, "ping"))
    expect(told).toEqual(["2025-11-25", "onmessage", "closed", "onclose"])
  })
})

describe("the SDK's client holds nothing any more", () => {
  /** Fails a call of the tool `hang` in some way, and gives its error. */
  const failures: Record<string, (link: Link<Client>) => Promise<unknown>> = {
    "sending throws": (link) => {
      link.transmit = () => {
        throw new Error("broken pipe")
      }
      return begin(link, (client) => client.callTool(hang)).ended
    },
    "sending rejects": (link) => {
      link.transmit = () => Promise.reject(new Error("broken pipe"))
      return begin(link, (client) => client.callTool(hang)).ended
    },
    "no answer will come": (link) => {
      const { ended } = begin(link, (client) => client.callTool(hang))
      link.requests.fail(only(link.requests), Evidence.transportFailure("stream_cut"), new Error("cut"))
      return ended
    },
    "the server answers with an error": (link) => {
      const { ended } = begin(link, (client) => client.callTool(hang))
      const { id } = only(link.requests)
      return link.fromServer({ jsonrpc: "2.0", id, error: { code: -32603, message: "no" } }).then(() => ended)
    },
    "the result is not what was asked for": (link) => {
      const { ended } = begin(link, (client) => client.request({ method: "ping" }, CallToolResultSchema.strict()))
      const { id } = only(link.requests)
      return link.fromServer({ jsonrpc: "2.0", id, result: { content: 7 } }).then(() => ended)
    },
    "the caller aborts": (link) => {
      const caller = new AbortController()
      const { ended } = begin(link, (client) => client.callTool(hang, undefined, { signal: caller.signal }))
      caller.abort()
      return ended
    },
    "the caller's time is up": (link) =>
      begin(link, (client) => client.callTool(hang, undefined, { timeout: 1 })).ended,
    "the session ends": (link) => {
      const { ended } = begin(link, (client) => client.callTool(hang))
      return link.client.close().then(() => ended)
    }
  }

  for (const [name, fail] of Object.entries(failures))
    it.live(`when ${name}`, () =>
      Effect.gen(function* () {
        const link = yield* connect()
        expect(yield* Effect.promise(() => fail(link))).toBeInstanceOf(Error)
        yield* Effect.promise(idle)
        expect(handlers(link.client)).toBe(0)
        expect(link.complaints).toEqual([])
      }).pipe(Effect.scoped)
    )

  it.live("and holds something while a request is under way", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { ended } = begin(link, (client) =>
        client.request({ method: "tools/call", params: hang }, EmptyResultSchema)
      )
      expect(handlers(link.client)).toBe(1)
      yield* Effect.promise(() => link.client.close())
      expect(yield* Effect.promise(() => ended)).toBeInstanceOf(McpError)
    }).pipe(Effect.scoped)
  )
})
