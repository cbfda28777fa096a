/** What becomes of a request, whoever ends it. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { EmptyResultSchema, ErrorCode, McpError } from "@modelcontextprotocol/sdk/types.js"
import { Evidence } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { Ask, RequestRecord } from "../src/index.ts"
import { begin, connect, handlers, idle, only } from "./support.ts"

const echo = { name: "echo" }
const hang = { name: "hang" }

type Request = Client["request"]

/** Lets others go first. */
const turns = async (count: unknown) => {
  for (let turn = 0; turn < Number(count ?? 1); turn++) await Promise.resolve()
}

/** What a subclass or an instrumentation does before it sends, and with what. */
const clients: ReadonlyArray<readonly [string, (request: Request) => Request]> = [
  [
    "does something else first",
    (request) =>
      async (...[asked, schema, options]) => {
        await turns(asked.params?._meta?.["turns"])
        return request(asked, schema, options)
      }
  ],
  [
    "adds to the request",
    (request) =>
      async (...[asked, schema, options]) => {
        await turns(asked.params?._meta?.["turns"])
        return request({ ...asked, params: { ...asked.params, added: true } }, schema, options)
      }
  ]
]

/** Makes another request of each, later. */
const remaking = (client: Client): void => {
  const request = client.request.bind(client)
  client.request = async ({ method, params }, schema, options) => {
    await Promise.resolve()
    return request(params === undefined ? { method } : { method, params }, schema, options)
  }
}

describe("the record of a request", () => {
  it.live("is unsent until its transport sends it, dispatched until the server answers, and then answered", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      let open = () => {}
      const gate = new Promise<void>((resolve) => {
        open = resolve
      })
      link.transmit = async (send) => {
        await gate
        await send()
      }
      const { ended, record } = begin(link, (client) => client.callTool(echo))
      expect(record).toMatchObject({ fate: "unsent", evidence: undefined })
      open()
      yield* Effect.promise(() => gate)
      expect(record).toMatchObject({ fate: "dispatched", evidence: undefined })
      yield* Effect.promise(() => ended)
      expect(record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
      expect(link.requests.pending.size).toBe(0)
      expect(link.released).toEqual(["tools/call"])
    }).pipe(Effect.scoped)
  )

  it.live("of a tool that answers with its own error is answered like any other", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { ended, record } = begin(link, (client) => client.callTool({ name: "fail" }))
      expect(yield* Effect.promise(() => ended)).toMatchObject({ isError: true })
      expect(record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
    }).pipe(Effect.scoped)
  )

  it.live("tells an error of the server from one of our own by where it arose, not by its code", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const code = ErrorCode.ConnectionClosed
      const theirs = begin(link, (client) => client.callTool(hang))
      yield* Effect.promise(() =>
        link.fromServer({ jsonrpc: "2.0", id: only(link.requests).id, error: { code, message: "bridge" } })
      )
      expect(yield* Effect.promise(() => theirs.ended)).toMatchObject({ code })
      expect(theirs.record).toMatchObject({ fate: "answered", evidence: { _tag: "ErrorAnswer", code } })
      const ours = begin(link, (client) => client.callTool(hang))
      const cut = new McpError(code, "cut")
      link.requests.fail(only(link.requests), Evidence.transportFailure("stream_cut"), cut)
      expect(yield* Effect.promise(() => ours.ended)).toBe(cut)
      expect(ours.record).toMatchObject({ fate: "dispatched", evidence: { reason: "stream_cut" } })
    }).pipe(Effect.scoped)
  )

  it.live("of one that cannot be sent stays unsent; its caller gets the real error, and nothing is left of it", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const broken = new Error("broken pipe")
      let id: string | number = Number.NaN
      link.transmit = (_send, pending) => {
        id = pending?.id ?? id
        return Promise.reject(broken)
      }
      const { ended, record } = begin(link, (client) => client.callTool(echo))
      expect(yield* Effect.promise(() => ended)).toBe(broken)
      expect(record).toMatchObject({ fate: "unsent", evidence: { _tag: "TransportFailure", reason: "unknown" } })
      expect(link.requests.pending.size).toBe(0)
      yield* Effect.promise(idle)
      expect(handlers(link.client)).toBe(0)
      yield* Effect.promise(() => link.fromServer({ jsonrpc: "2.0", id, result: {} }))
      expect(record.fate).toBe("unsent")
      expect(link.complaints).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("that comes when the session is over is not sent: it may be on another one already", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      link.requests.close()
      const { ended, record } = begin(link, (client) => client.callTool(echo))
      expect(yield* Effect.promise(() => ended)).toMatchObject({ message: "Not connected" })
      expect(record).toMatchObject({ fate: "unsent", settled: true })
      expect(link.sent).not.toContain("tools/call")
    }).pipe(Effect.scoped)
  )

  it.live("keeps what its transport wrote down when sending fails", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      link.transmit = (_send, pending) => {
        pending?.record.met("refused", Evidence.transportFailure("protocol"))
        return Promise.reject(new Error("no"))
      }
      const { ended, record } = begin(link, (client) => client.ping())
      yield* Effect.promise(() => ended)
      expect(record).toMatchObject({ fate: "refused", evidence: { reason: "protocol" } })
    }).pipe(Effect.scoped)
  )

  it.live("is the same when a transport sends the request again by itself", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const refusal = Evidence.transportFailure("protocol")
      const seen: Array<unknown> = []
      link.transmit = (send, pending) => {
        // After a 401, say: with new credentials.
        pending?.record.met("refused", refusal)
        seen.push({ ...pending?.record })
        return send()
      }
      const { ended, record, records } = begin(link, (client) => client.ping())
      yield* Effect.promise(() => ended)
      expect(seen).toMatchObject([{ fate: "refused", evidence: refusal, settled: false }])
      expect(record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
      expect(records.length).toBe(1)
    }).pipe(Effect.scoped)
  )

  it.live("is written by that one request, and by no other where it is not made", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { client, requests } = link
      const { ended, record } = begin(link, (view) => view.ping({ signal: AbortSignal.abort() }))
      yield* Effect.promise(() => ended)
      yield* Effect.promise(() => Promise.all([client.ping(), client.ping()]))
      expect(record).toMatchObject({ fate: "unsent", evidence: undefined })
      const first = new RequestRecord.Record("ping")
      const both = requests.track(first, false, { method: "ping" }, (ping) =>
        Promise.all([client.request(ping, EmptyResultSchema), client.callTool(hang)])
      )
      expect([...requests.pending.values()].map((pending) => pending.record === first)).toEqual([true, false])
      yield* Effect.promise(() => Promise.all([client.close(), both.catch(() => {})]))
    }).pipe(Effect.scoped)
  )

  for (const [name, request] of clients)
    it.live(`is written by that one request, also with a client that ${name}`, () =>
      Effect.gen(function* () {
        const link = yield* connect()
        link.client.request = request(link.client.request.bind(link.client))
        // Two of one method at once, of which the second one arrives first.
        const slow = begin(link, (client) => client.callTool({ name: "hang", _meta: { turns: 5 } }))
        const quick = begin(link, (client) => client.callTool({ name: "fail" }))
        expect(yield* Effect.promise(() => quick.ended)).toMatchObject({ isError: true })
        expect(quick.record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
        expect(only(link.requests).record).toBe(slow.record)
        expect(slow.record).toMatchObject({ fate: "dispatched", evidence: undefined })
        expect(yield* Ask.probe(link.requests, { _tag: "ping" })).toEqual({ _tag: "Answered" })
      }).pipe(Effect.scoped)
    )

  it.live("of a client that makes new requests later is that of the only one that can be meant", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      remaking(link.client)
      expect(yield* Ask.probe(link.requests, { _tag: "ping" })).toEqual({ _tag: "Answered" })
      const { ended, record } = begin(link, (client) => client.callTool(echo))
      yield* Effect.promise(() => ended)
      expect(record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
    }).pipe(Effect.scoped)
  )

  it.live("of a client that makes new requests later is not unsent where any of several can be meant", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      remaking(link.client)
      const first = begin(link, (client) => client.callTool(echo))
      const second = begin(link, (client) => client.callTool(hang))
      yield* Effect.promise(() => first.ended)
      // the one that has a result was answered, whichever it was
      expect(first.record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
      expect(second.record).toMatchObject({ fate: "dispatched", evidence: undefined })
    }).pipe(Effect.scoped)
  )

  it.live("of a request that a client did not make stays unsent, and waits for no other one", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const request = link.client.request.bind(link.client)
      link.client.request = async () => {
        await Promise.resolve()
        throw new Error("not now")
      }
      const { ended, record } = begin(link, (client) => client.ping())
      yield* Effect.promise(() => ended)
      link.client.request = request
      yield* Effect.promise(() => link.client.ping())
      expect(record).toMatchObject({ fate: "unsent", evidence: undefined })
    }).pipe(Effect.scoped)
  )

  it.live("of the handshake is there without asking", () =>
    Effect.gen(function* () {
      const { requests } = yield* connect()
      expect(requests.handshake).toMatchObject({ method: "initialize", fate: "answered" })
    }).pipe(Effect.scoped)
  )
})

describe("a request whose caller waits no longer", () => {
  it.live("has no evidence, frees what it holds, and the server is told", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const caller = new AbortController()
      const aborted = begin(link, (client) => client.callTool(hang, undefined, { signal: caller.signal }))
      caller.abort()
      yield* Effect.promise(() => aborted.ended)
      const late = begin(link, (client) => client.callTool(hang, undefined, { timeout: 1 }))
      expect(yield* Effect.promise(() => late.ended)).toBeInstanceOf(McpError)
      for (const { record } of [aborted, late]) {
        expect(record).toMatchObject({ fate: "dispatched", evidence: undefined })
      }
      expect(link.released).toEqual(["tools/call", "tools/call"])
      expect(link.sent.slice(2)).toEqual([
        "tools/call",
        "notifications/cancelled",
        "tools/call",
        "notifications/cancelled"
      ])
      expect(link.requests.pending.size).toBe(0)
    }).pipe(Effect.scoped)
  )
})

describe("a request that was never sent", () => {
  it.live("is no matter of the server's when its caller waits no longer", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      link.transmit = (send, pending) => (pending === undefined ? send() : Promise.resolve())
      const caller = new AbortController()
      const queued = begin(link, (client) => client.callTool(hang, undefined, { signal: caller.signal }))
      caller.abort()
      yield* Effect.promise(() => queued.ended)
      expect(queued.record.fate).toBe("unsent")
      expect(link.sent.slice(2)).toEqual([])
    }).pipe(Effect.scoped)
  )
})

describe("a request that is settled", () => {
  it.live("ignores the answer that arrives later", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      link.transmit = () => Promise.resolve()
      const { ended, record } = begin(link, (client) => client.subscribeResource({ uri: "memo://late" }))
      const pending = only(link.requests)
      link.requests.fail(pending, Evidence.transportFailure("stream_cut"), new Error("cut"))
      yield* Effect.promise(() => ended)
      yield* Effect.promise(() => link.fromServer({ jsonrpc: "2.0", id: pending.id, result: {} }))
      expect(record).toMatchObject({ fate: "unsent", evidence: { reason: "stream_cut" } })
      expect([...link.subscriptions]).toEqual([])
      expect(link.complaints).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("ends nothing else where the user's handler of errors throws", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's client is no EventTarget
      link.client.onerror = () => {
        throw new Error("mine")
      }
      const caller = new AbortController()
      const one = begin(link, (client) => client.callTool(hang, undefined, { signal: caller.signal }))
      const other = begin(link, (client) => client.callTool(hang))
      for (const pending of [...link.requests.pending.values()])
        link.requests.fail(pending, Evidence.transportFailure("reset"), new Error("reset"))
      // the client forgets this one by itself, so that it is told of what it does not know
      caller.abort()
      yield* Effect.promise(() => Promise.all([one.ended, other.ended]))
      yield* Effect.promise(idle)
      expect(handlers(link.client)).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("is not settled again", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { ended, record } = begin(link, (client) => client.callTool(hang))
      const pending = only(link.requests)
      yield* Effect.promise(() => link.fromServer({ jsonrpc: "2.0", id: pending.id, result: { content: [] } }))
      link.requests.fail(pending, Evidence.transportFailure("reset"), new Error("reset"))
      expect(yield* Effect.promise(() => ended)).toEqual({ content: [] })
      expect(record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
      expect(link.complaints).toEqual([])
    }).pipe(Effect.scoped)
  )
})

describe("the end of a session", () => {
  it.live("is the evidence of what is under way, unless there is another, and frees what is held", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const known = begin(link, (client) => client.callTool(hang))
      only(link.requests).record.evidence = Evidence.transportFailure("reset")
      const plain = begin(link, (client) => client.callTool(hang))
      link.requests.close()
      link.requests.close(Evidence.transportFailure("process_exit"))
      yield* Effect.promise(() => link.client.close())
      yield* Effect.promise(() => Promise.all([known.ended, plain.ended]))
      expect(known.record).toMatchObject({ fate: "dispatched", evidence: { reason: "reset" } })
      expect(plain.record).toMatchObject({ fate: "dispatched", evidence: { reason: "closed" } })
      expect(link.released.length).toBeGreaterThanOrEqual(2)
    }).pipe(Effect.scoped)
  )

  it.live("reaches who waits also where the user's own handler of it throws", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { ended, record } = begin(link, (client) => client.callTool(hang))
      const mine = new Error("mine")
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's client is no EventTarget
      link.client.onclose = () => {
        throw mine
      }
      expect(yield* Effect.promise(() => link.transport.close().catch((error: unknown) => error))).toBe(mine)
      expect(yield* Effect.promise(() => ended)).toMatchObject({ message: "The session has ended" })
      expect(record).toMatchObject({ fate: "dispatched", evidence: { reason: "closed" }, settled: true })
    }).pipe(Effect.scoped)
  )

  it.live("does not take away an answer that is on its way", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { ended, record } = begin(link, (client) => client.callTool(hang))
      const { id } = only(link.requests)
      // what a child wrote before it exited, say
      link.requests.close()
      yield* Effect.promise(() => link.fromServer({ jsonrpc: "2.0", id, result: { content: [] } }))
      expect(yield* Effect.promise(() => ended)).toEqual({ content: [] })
      expect(record).toMatchObject({ fate: "answered", evidence: { _tag: "Answered" } })
    }).pipe(Effect.scoped)
  )

  it.live("is told in the transport's words where it has some", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { record } = begin(link, (client) => client.callTool(hang))
      link.requests.close(Evidence.transportFailure("process_exit", { summary: "exit code 1", output: [] }))
      expect(record.evidence).toMatchObject({ reason: "process_exit", detail: { summary: "exit code 1" } })
    }).pipe(Effect.scoped)
  )
})

describe("subscriptions", () => {
  it.live("are added and removed as the server answers, and not before", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const uri = "memo://one"
      const subscribing = begin(link, (client) => client.subscribeResource({ uri }))
      expect([...link.subscriptions]).toEqual([])
      yield* Effect.promise(() => subscribing.ended)
      expect([...link.subscriptions]).toEqual([uri])
      yield* Effect.promise(() => begin(link, (client) => client.subscribeResource({ uri: "gone://two" })).ended)
      expect([...link.subscriptions]).toEqual([uri])
      const ending = begin(link, (client) => client.unsubscribeResource({ uri }))
      expect([...link.subscriptions]).toEqual([uri])
      yield* Effect.promise(() => ending.ended)
      expect([...link.subscriptions]).toEqual([])
    }).pipe(Effect.scoped)
  )
})
