/** The endpoint, on connections that say what the test wants. */
import { BackendError } from "@vmcp-keepalive/core"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { assert, describe, it } from "vitest"
import { keptFetch } from "../../src/KeptFetch.ts"
import { end, endpoint, get, headers, initialize, open, post, reader, request } from "./scripted.ts"

const result = (id: Message.Id): Message.Message => ({ jsonrpc: "2.0", id, result: {} })
const progress = (progressToken: string, n: number): Message.Message => ({
  jsonrpc: "2.0",
  method: "notifications/progress",
  params: { progressToken, progress: n }
})
const log = (data: string): Message.Message => ({ jsonrpc: "2.0", method: "notifications/message", params: { data } })
const changed: Message.Message = { jsonrpc: "2.0", method: "notifications/tools/list_changed" }
const ask = (id: string): Message.Message => ({ jsonrpc: "2.0", id, method: "sampling/createMessage" })
const cancelled = (requestId: Message.Id): Message.Message => ({
  jsonrpc: "2.0",
  method: "notifications/cancelled",
  params: { requestId }
})
const errorOf = (message: Message.Message | undefined) =>
  message !== undefined && "error" in message ? message.error : undefined

describe("an endpoint without a port", () => {
  it("opens a session for each initialize, with a connection of its own", async () => {
    const { connections, fetch } = endpoint()
    const response = await post(fetch, initialize)
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
    assert.deepStrictEqual((await reader(response).all()).length, 1)
    const [first, second] = [response.headers.get("mcp-session-id") ?? "", await open(fetch)]
    assert.notStrictEqual(first, second)
    assert.strictEqual((await post(fetch, { jsonrpc: "2.0", method: "notifications/initialized" }, second)).status, 202)
    assert.deepStrictEqual(
      connections.map(({ taken }) => taken.length),
      [1, 2]
    )
  })

  it("answers a request with what belongs to it, and its answer at the end", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const first = reader(await post(fetch, request(1, "tools/call", { _meta: { progressToken: "a" } }), session))
    const second = reader(await post(fetch, request(2, "tools/call", { _meta: { progressToken: "b" } }), session))
    const [connection] = connections
    connection?.says(progress("b", 1))
    connection?.says(progress("a", 1))
    connection?.says(log("of 2"), { relatedRequestId: 2 })
    connection?.says(result(2))
    connection?.says(progress("a", 2))
    connection?.says(result(1))
    assert.deepStrictEqual(await first.all(), [progress("a", 1), progress("a", 2), result(1)])
    assert.deepStrictEqual(await second.all(), [progress("b", 1), log("of 2"), result(2)])
  })

  it("sets an answer apart from what came before it, which hosts would drop in one read", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const response = await post(fetch, request(1), session)
    for (let n = 1; n <= 1000; n++) connections[0]?.says(log(String(n)))
    connections[0]?.says(result(1))
    const chunks: Array<string> = []
    let turns = 0
    const turn = () => {
      turns++
      timer = setImmediate(turn)
    }
    let timer = setImmediate(turn)
    const at: Array<number> = []
    for await (const chunk of response.body ?? []) {
      chunks.push(new TextDecoder().decode(chunk))
      at.push(turns)
    }
    clearImmediate(timer)
    assert.strictEqual(chunks.length, 2)
    assert.strictEqual(chunks[0]?.match(/^data: /gm)?.length, 1000)
    assert.include(chunks[1], `"result":{}`)
    assert.isAbove(at[1] ?? 0, at[0] ?? 0)
  })

  it("takes notifications and answers with 202", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const message = result("kept-0")
    const response = await post(fetch, message, session)
    assert.strictEqual(response.status, 202)
    assert.strictEqual(await response.text(), "")
    assert.deepStrictEqual(connections[0]?.taken.at(-1), message)
  })

  it("refuses what the specification does, and hands nothing on", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const statuses = async (...responses: Array<Promise<Response>>) =>
      (await Promise.all(responses)).map(({ status }) => status)
    assert.deepStrictEqual(
      await statuses(
        post(fetch, request(1)),
        post(fetch, request(1), "unknown"),
        get(fetch),
        get(fetch, "unknown"),
        end(fetch),
        end(fetch, "unknown")
      ),
      [400, 404, 400, 404, 400, 404]
    )
    assert.deepStrictEqual(
      await statuses(
        post(fetch, "{", session),
        post(fetch, [request(1)], session),
        post(fetch, { hello: "world" }, session),
        post(fetch, initialize, session),
        post(fetch, " ".repeat(17 * 1024 * 1024), session)
      ),
      [400, 400, 400, 400, 413]
    )
    const other = await fetch("http://kept.invalid/", { method: "PUT", body: "x" })
    assert.deepStrictEqual([other.status, other.headers.get("allow")], [405, "POST, GET, DELETE"])
    const text = { ...headers(session), "content-type": "text/plain" }
    assert.strictEqual((await fetch("http://kept.invalid/", { method: "POST", headers: text, body: "{}" })).status, 415)
    const first = await post(fetch, request(1), session)
    const again = await post(fetch, request(1), session)
    assert.strictEqual(again.status, 400)
    assert.deepStrictEqual(await again.json(), {
      jsonrpc: "2.0",
      id: null,
      error: { code: -32600, message: "Invalid Request: a request with this id is under way" }
    })
    await first.body?.cancel()
    assert.deepStrictEqual(connections[0]?.taken, [initialize, request(1), cancelled(1)])
  })

  it("takes a Request as well, with what is laid over it", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const controller = new AbortController()
    const asked = new Request("http://kept.invalid/x", { method: "POST", headers: headers(session), body: "{}" })
    const response = await fetch(asked, {
      method: "POST",
      body: JSON.stringify(request(1)),
      signal: controller.signal
    })
    connections[0]?.says(result(1))
    assert.deepStrictEqual(await reader(response).all(), [result(1)])
    controller.abort()
    const aborted = new Request("http://kept.invalid/x", { headers: headers(session), signal: controller.signal })
    assert.strictEqual(
      (
        await fetch(aborted).then(
          () => undefined,
          (error: Error) => error
        )
      )?.name,
      "AbortError"
    )
  })

  it("answers what is under way when its client ends the session, which is unknown from then on", async () => {
    const { connections, endpoint: made, fetch } = endpoint()
    const session = await open(fetch)
    const call = reader(await post(fetch, request(1), session))
    const standing = reader(await get(fetch, session))
    assert.strictEqual((await end(fetch, session)).status, 200)
    const [answer] = await call.all()
    assert.deepInclude(errorOf(answer), {
      code: -32082,
      data: { error: "OutcomeUnknown", backend: "test", executed: "unknown" }
    })
    assert.deepStrictEqual(await standing.all(), [])
    assert.isTrue(connections[0]?.isClosed)
    assert.strictEqual(made.size, 0)
    assert.strictEqual((await post(fetch, request(2), session)).status, 404)
    assert.strictEqual((await end(fetch, session)).status, 404)
  })
})

describe("messages of a server's", () => {
  it("wait for a stream where none is open, and none is lost", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    for (const message of [ask("kept-0"), changed, changed]) connections[0]?.says(message)
    const standing = reader(await get(fetch, session))
    assert.deepStrictEqual([await standing.next(), await standing.next()], [ask("kept-0"), changed])
    await standing.cancel()
    connections[0]?.says(ask("kept-1"))
    const call = reader(await post(fetch, request(1), session))
    connections[0]?.says(ask("kept-2"))
    connections[0]?.says(result(1))
    assert.deepStrictEqual(await call.all(), [ask("kept-1"), ask("kept-2"), result(1)])
  })

  it("that nobody ever reads are bounded, and a request that is given up is answered", async () => {
    const { connections, fetch } = endpoint()
    await open(fetch)
    connections[0]?.says(ask("kept-0"))
    for (let n = 0; n < 1000; n++) connections[0]?.says(log(String(n)))
    const [, given, ...more] = connections[0]?.taken ?? []
    assert.strictEqual(errorOf(given)?.code, -32603)
    assert.deepStrictEqual(more, [])
  })

  it("go on the newest standing stream: an earlier one was lost", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const lost = reader(await get(fetch, session))
    const standing = reader(await get(fetch, session))
    connections[0]?.says(changed)
    assert.deepStrictEqual(await lost.all(), [])
    assert.deepStrictEqual(await standing.next(), changed)
    await standing.cancel()
  })

  it("do not grow in a stream that is not read: its call is cancelled and answered with an error", async () => {
    const { connections, fetch } = endpoint({ most: 10_000 })
    const session = await open(fetch)
    const stream = reader(await post(fetch, request(1), session))
    for (let n = 0; n < 1000; n++) connections[0]?.says(log("x".repeat(100)), { relatedRequestId: 1 })
    const all = await stream.all()
    assert.deepStrictEqual(all.length, 1)
    assert.deepInclude(errorOf(all[0]), {
      code: -32082,
      data: { error: "OutcomeUnknown", backend: "test", executed: "unknown" }
    })
    assert.deepStrictEqual(connections[0]?.taken.slice(-1), [cancelled(1)])
    const next = reader(await post(fetch, request(2), session))
    connections[0]?.says(result(2))
    assert.deepStrictEqual((await next.all()).at(-1), result(2))
  })

  it("end a standing stream that is not read, and the rest waits for the next one", async () => {
    const { connections, fetch } = endpoint({ most: 10_000 })
    const session = await open(fetch)
    const unread = reader(await get(fetch, session))
    for (let n = 0; n < 100; n++) connections[0]?.says(log(`${n} ${"x".repeat(100)}`))
    connections[0]?.says(ask("kept-0"))
    const read = await unread.all()
    const next = reader(await get(fetch, session))
    for (let n = read.length; n < 100; n++) assert.deepStrictEqual(await next.next(), log(`${n} ${"x".repeat(100)}`))
    assert.isAbove(read.length, 10)
    assert.isBelow(read.length, 100)
    assert.deepStrictEqual(await next.next(), ask("kept-0"))
    await next.cancel()
  })

  it("take in an answer however long, when the reader has read nothing yet", async () => {
    const { connections, fetch } = endpoint({ most: 1000 })
    const session = await open(fetch)
    const stream = reader(await post(fetch, request(1), session))
    connections[0]?.says(log("1"), { relatedRequestId: 1 })
    const long: Message.Message = { jsonrpc: "2.0", id: 1, result: { text: "x".repeat(100_000) } }
    connections[0]?.says(long)
    assert.deepStrictEqual(await stream.all(), [log("1"), long])
  })
})

describe("a request that nobody waits for", () => {
  it("is cancelled by its signal, which fails its stream, and the session goes on", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const controller = new AbortController()
    const response = await post(fetch, request(1), session, controller.signal)
    controller.abort(new Error("enough"))
    const error = await response.text().then(
      () => undefined,
      (error: Error) => error.message
    )
    assert.strictEqual(error, "enough")
    assert.deepStrictEqual(connections[0]?.taken.at(-1), cancelled(1))
    connections[0]?.says(result(1))
    const next = reader(await post(fetch, request(1), session))
    connections[0]?.says(result(1))
    assert.deepStrictEqual(await next.all(), [result(1)])
  })

  it("is cancelled when its body is, or when the client says so, which ends its stream without an answer", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    await (await post(fetch, request(1), session)).body?.cancel()
    assert.deepStrictEqual(connections[0]?.taken.at(-1), cancelled(1))
    const call = reader(await post(fetch, request(2), session))
    assert.strictEqual((await post(fetch, cancelled(2), session)).status, 202)
    assert.deepStrictEqual(await call.all(), [])
    assert.deepStrictEqual(connections[0]?.taken.at(-1), cancelled(2))
  })

  it("rejects where it was aborted before, and leaves no listener on a signal that outlives it", async () => {
    const { connections, fetch } = endpoint()
    const session = await open(fetch)
    const controller = new AbortController()
    let listeners = 0
    const { signal } = controller
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)]
    signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args))
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args))
    for (let id = 1; id <= 100; id++) {
      const response = await post(fetch, request(id), session, signal)
      connections[0]?.says(result(id))
      await response.text()
    }
    await (await get(fetch, session, signal)).body?.cancel()
    assert.strictEqual(listeners, 0)
    controller.abort()
    const error = await post(fetch, request(101), session, signal).then(
      () => undefined,
      (error: Error) => error.name
    )
    assert.strictEqual(error, "AbortError")
    assert.isFalse(connections[0]?.taken.some((message) => "id" in message && message.id === 101))
  })
})

describe("a kept fetch", () => {
  it("throws at once, and lists, what is wrong with its settings", () => {
    for (const maxSessions of [0, 1.5, 10_001, Number.NaN])
      try {
        keptFetch({ id: "", connector: StdioPeerConnector.make({ command: "" }), maxSessions })
        assert.fail("it did not throw")
      } catch (error) {
        assert.instanceOf(error, BackendError.ConfigurationError)
        assert.deepStrictEqual(error.issues.map(({ path }) => path.join(".")).toSorted(), [
          "connector.command",
          "id",
          "maxSessions"
        ])
      }
  })

  it("has a URL of its own for each server, which leads nowhere", () => {
    const connector = StdioPeerConnector.make({ command: process.execPath })
    const urls = ["a", "b/c d"].map((id) => keptFetch({ id, connector }).url.href)
    assert.deepStrictEqual(urls, ["http://kept.invalid/a", "http://kept.invalid/b%2Fc%20d"])
  })
})

describe("sessions", () => {
  it("that are left behind are bounded: the one that was not used for the longest time ends", async () => {
    const { connections, endpoint: made, fetch } = endpoint({ maxSessions: 3 })
    const [a = "", b = "", c = ""] = [await open(fetch), await open(fetch), await open(fetch)]
    await post(fetch, { jsonrpc: "2.0", method: "notifications/initialized" }, a)
    const d = await open(fetch)
    assert.deepStrictEqual(
      connections.map(({ isClosed }) => isClosed),
      [false, true, false, false]
    )
    assert.strictEqual((await post(fetch, request(1), b)).status, 404)
    // somebody listens to c
    const standing = await get(fetch, c)
    await open(fetch)
    await open(fetch)
    assert.deepStrictEqual(
      connections.map(({ isClosed }) => isClosed),
      [true, true, false, true, false, false]
    )
    assert.strictEqual(made.size, 3)
    assert.strictEqual((await get(fetch, d)).status, 404)
    await standing.body?.cancel()
  })

  it("that nobody uses or listens to end, and are opened again for a host that comes back", async () => {
    const words = new Map<string, Message.Params>()
    const ids = {
      make: (params: Message.Params) => {
        const id = `session-${words.size}`
        words.set(id, params)
        return id
      },
      resume: (id: string) => words.get(id)
    }
    const { connections, endpoint: made, fetch } = endpoint({ ids })
    const [left = "", used = "", attended = "", busy = ""] = [
      await open(fetch),
      await open(fetch),
      await open(fetch),
      await open(fetch)
    ]
    const standing = await get(fetch, attended)
    const call = reader(await post(fetch, request(1), busy))
    made.endUnused()
    assert.strictEqual(made.size, 4)
    await post(fetch, { jsonrpc: "2.0", method: "notifications/initialized" }, used)
    made.endUnused()
    const closed = () => connections.map(({ isClosed }) => isClosed)
    assert.deepStrictEqual(closed(), [true, false, false, false])
    // it ends unused for as long as the others were
    connections[3]?.says(result(1))
    assert.deepStrictEqual(await call.all(), [result(1)])
    made.endUnused()
    assert.deepStrictEqual(closed(), [true, true, false, false])
    made.endUnused()
    assert.deepStrictEqual(closed(), [true, true, false, true])
    assert.strictEqual((await post(fetch, { jsonrpc: "2.0", method: "notifications/initialized" }, left)).status, 202)
    assert.strictEqual(connections.length, 5)
    await standing.body?.cancel()
  })

  it("with a request under way do not end for another one, which is refused", async () => {
    const { connections, fetch } = endpoint({ maxSessions: 1 })
    const session = await open(fetch)
    const call = reader(await post(fetch, request(1), session))
    assert.strictEqual((await post(fetch, initialize)).status, 503)
    connections[0]?.says(result(1))
    assert.deepStrictEqual(await call.all(), [result(1)])
    assert.strictEqual((await post(fetch, initialize)).status, 200)
    assert.isTrue(connections[0]?.isClosed)
  })

  it("that never began are not kept: the handshake failed, or its client went away", async () => {
    const error = { code: -32080, message: "down" }
    const refusing = endpoint({ initialized: (id) => ({ jsonrpc: "2.0", id, error }) })
    assert.deepStrictEqual(errorOf((await reader(await post(refusing.fetch, initialize)).all())[0]), error)
    assert.deepStrictEqual([refusing.endpoint.size, refusing.connections[0]?.isClosed], [0, true])
    const silent = endpoint({ initialized: () => undefined })
    await (await post(silent.fetch, initialize)).body?.cancel()
    assert.deepStrictEqual([silent.endpoint.size, silent.connections[0]?.isClosed], [0, true])
    const controller = new AbortController()
    const aborted = post(silent.fetch, initialize, undefined, controller.signal)
    controller.abort()
    assert.strictEqual(
      await aborted.then(
        () => undefined,
        (error: Error) => error.name
      ),
      "AbortError"
    )
    assert.strictEqual(silent.endpoint.size, 0)
  })

  it("end with the endpoint, which answers what is under way and takes nothing more", async () => {
    const { connections, endpoint: made, fetch } = endpoint()
    const session = await open(fetch)
    const call = reader(await post(fetch, request(1), session))
    await made.close()
    assert.strictEqual(errorOf((await call.all())[0])?.code, -32082)
    assert.isTrue(connections[0]?.isClosed)
    assert.strictEqual((await post(fetch, request(2), session)).status, 404)
    assert.strictEqual((await post(fetch, initialize)).status, 503)
  })
})

describe("sessions of an endpoint before this one", () => {
  /** Ids that say with what they were initialized. */
  const ids = () => {
    let made = 0
    return {
      make: (params: Message.Params) => `${made++}.${Buffer.from(JSON.stringify(params)).toString("base64url")}`,
      resume: (id: string): Message.Params | undefined => {
        const [, words] = id.split(".")
        return words === undefined ? undefined : JSON.parse(Buffer.from(words, "base64url").toString())
      }
    }
  }

  it("go on under their ids: each is initialized again with its host's own words, once for all that ask at a time", async () => {
    const before = endpoint({ ids: ids() })
    const session = await open(before.fetch)
    await before.endpoint.close()
    const after = endpoint({ ids: ids() })
    const asked = await Promise.all([1, 2, 3].map((id) => post(after.fetch, request(id), session)))
    assert.deepStrictEqual(
      asked.map((response) => [response.status, response.headers.get("mcp-session-id")]),
      [1, 2, 3].map(() => [200, session])
    )
    const [connection, another] = after.connections
    assert.isUndefined(another)
    assert.deepInclude(connection?.taken[0], { method: "initialize", params: initialize.params })
    assert.deepStrictEqual(connection?.taken[1], { jsonrpc: "2.0", method: "notifications/initialized" })
    assert.deepStrictEqual(
      connection?.taken.slice(2).map((message) => "id" in message && message.id),
      [1, 2, 3]
    )
    for (const id of [1, 2, 3]) connection?.says(result(id))
    for (const [index, response] of asked.entries()) {
      assert.deepStrictEqual(await reader(response).all(), [result(index + 1)])
    }
    // a stream that stands opens one as well
    const again = endpoint({ ids: ids() })
    const standing = reader(await get(again.fetch, session))
    again.connections[0]?.says(changed)
    assert.deepStrictEqual(await standing.next(), changed)
    await Promise.all([after, again].map(({ endpoint }) => endpoint.close()))
  })

  it("end for good when their host ends them, and where their connection is refused", async () => {
    const made = endpoint({ ids: ids() })
    const session = await open(made.fetch)
    assert.strictEqual((await end(made.fetch, session)).status, 200)
    assert.strictEqual((await post(made.fetch, request(1), session)).status, 404)
    assert.strictEqual((await post(made.fetch, request(1), "unknown")).status, 404)
    const refusing = endpoint({
      ids: ids(),
      initialized: (id) => ({ jsonrpc: "2.0", id, error: { code: -32080, message: "down" } })
    })
    assert.strictEqual((await post(refusing.fetch, request(1), session)).status, 404)
    assert.strictEqual(refusing.endpoint.size, 0)
    await made.endpoint.close()
  })
})
