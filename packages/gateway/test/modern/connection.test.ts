/** One connection for many requests that stand for themselves. */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { afterEach, assert, describe, it, vi } from "vitest"
import { type Asked, AnswerError, Connection } from "../../src/internal/modern/connection.ts"
import { Connections } from "../../src/internal/modern/connections.ts"
import { scripted } from "./scripted.ts"

const words = { clientInfo: { name: "test", version: "1" }, capabilities: { sampling: {}, roots: {} } }

const request = (method: string, params?: Message.Params, more: Partial<Asked> = {}): Asked => ({
  method,
  params,
  signal: new AbortController().signal,
  onNotification: () => {},
  logLevel: undefined,
  requestState: undefined,
  inputResponses: undefined,
  ...more
})

const tool = (name: string, more: Partial<Asked> = {}) => request("tools/call", { name }, more)

/** A connection of these words that is open. */
const start = async (own = words) => {
  const world = scripted()
  const connection = new Connection({ words: own, onNotification: () => {} })
  const { take } = await world.open(connection.deliver)
  connection.begin(take)
  const [server] = world.connections
  if (server === undefined) throw new Error("not open")
  const answerTo = (id: Message.Id) =>
    world.until(() => server.taken.find((each) => Message.isAnswer(each) && each.id === id))
  const sample = (id: number, related?: Message.Id) =>
    server.says({ jsonrpc: "2.0", id, method: "sampling/createMessage", params: { maxTokens: id } }, related)
  const called = (at = 0) => world.asked(0, "tools/call", at)
  return { connection, server, answerTo, sample, called, until: world.until }
}

const done = (id: Message.Id): Message.Answer => ({ jsonrpc: "2.0", id, result: { content: [] } })

const failed = async (asking: Promise<unknown>): Promise<unknown> => {
  try {
    await asking
  } catch (error) {
    return error
  }
  throw new Error("it did not fail")
}

/** The state with which a call goes on. */
const stateOf = ({ requestState, resultType }: Message.Result): string => {
  assert.strictEqual(resultType, "input_required")
  if (typeof requestState !== "string") throw new Error("no state")
  return requestState
}

afterEach(() => {
  vi.useRealTimers()
})

describe("a call that the server asks something in", () => {
  it("is answered with all that is asked at a time, and goes on with the answers as one call", async () => {
    const { answerTo, called, connection, sample, server } = await start()
    const first = connection.ask(tool("a"))
    const { id } = await called()
    sample(7, id)
    server.says({ jsonrpc: "2.0", id: 8, method: "roots/list" }, id)
    const asking = await first
    assert.deepStrictEqual(asking["inputRequests"], {
      7: { method: "sampling/createMessage", params: { maxTokens: 7 } },
      8: { method: "roots/list" }
    })
    const second = connection.ask(
      tool("a", { requestState: stateOf(asking), inputResponses: { 7: { role: "assistant" } } })
    )
    assert.deepStrictEqual(await answerTo(7), { jsonrpc: "2.0", id: 7, result: { role: "assistant" } })
    // what the client leaves out is refused, not forgotten
    assert.include(JSON.stringify(await answerTo(8)), "gave no answer")
    server.says(done(id))
    assert.deepStrictEqual(await second, { content: [] })
    assert.strictEqual(server.asked("tools/call").length, 1)
    assert.strictEqual(connection.size, 0)
  })

  it("goes on once, for the same request alone", async () => {
    const { called, connection, sample, server } = await start()
    const first = connection.ask(tool("a"))
    const { id } = await called()
    sample(7, id)
    const requestState = stateOf(await first)
    for (const other of [tool("b", { requestState }), request("prompts/get", { name: "a" }, { requestState })]) {
      assert.instanceOf(await failed(connection.ask(other)), AnswerError)
    }
    const second = connection.ask(tool("a", { requestState, inputResponses: { 7: {} } }))
    assert.include(String(await failed(connection.ask(tool("a", { requestState })))), "requestState")
    server.says(done(id))
    await second
  })

  it("ends at the server when its client goes, or does not come back in time", async () => {
    const { called, connection, sample, server } = await start()
    const going = new AbortController()
    const first = failed(connection.ask(tool("a", { signal: going.signal })))
    const { id } = await called()
    going.abort(new Error("gone"))
    assert.include(String(await first), "gone")
    const cancelled = (of: Message.Id) =>
      server.taken.some((each) => "method" in each && !("id" in each) && Message.cancelled(each) === of)
    assert.isTrue(cancelled(id))

    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    const second = connection.ask(tool("b"))
    const { id: other } = await called(1)
    sample(7, other)
    const requestState = stateOf(await second)
    vi.advanceTimersByTime(5 * 60_000 - 1)
    assert.isFalse(cancelled(other))
    vi.advanceTimersByTime(1)
    assert.isTrue(cancelled(other))
    assert.strictEqual(connection.size, 0)
    assert.instanceOf(await failed(connection.ask(tool("b", { requestState }))), AnswerError)
  })

  it("does not wait for its client where too many do: the server is refused, and the call goes on", async () => {
    const { answerTo, called, connection, sample, server } = await start()
    const asking = Array.from({ length: 65 }, (_, at) => connection.ask(tool(`${at}`)))
    const { id: last } = await called(64)
    const ids = server.asked("tools/call").map(({ id }) => id)
    // all within one turn, so that none is waiting yet when the last asks
    for (const [at, id] of ids.entries()) sample(1000 + at, id)
    for (const outcome of await Promise.all(asking.slice(0, 64))) stateOf(outcome)
    assert.include(JSON.stringify(await answerTo(1064)), "only while it waits")
    server.says(done(last))
    assert.deepStrictEqual(await asking[64], { content: [] })
    connection.end()
    assert.strictEqual(connection.size, 0)
  })

  it("is one that can ask, of a client that can answer; others' servers are told so", async () => {
    const { answerTo, called, connection, sample, server, until } = await start({
      ...words,
      capabilities: { ...words.capabilities, sampling: {} }
    })
    const listing = connection.ask(request("tools/list"))
    const list = await until(() => server.asked("tools/list")[0])
    sample(1, list.id)
    assert.include(JSON.stringify(await answerTo(1)), "only while it waits")
    server.says({ jsonrpc: "2.0", id: list.id, result: { tools: [] } })
    await listing
    const calling = connection.ask(tool("a"))
    const { id } = await called()
    server.says({ jsonrpc: "2.0", id: 2, method: "elicitation/create", params: {} }, id)
    assert.include(JSON.stringify(await answerTo(2)), "-32601")
    server.says({ jsonrpc: "2.0", id: 3, method: "ping" })
    assert.deepStrictEqual(await answerTo(3), { jsonrpc: "2.0", id: 3, result: {} })
    server.says(done(id))
    await calling
  })

  it("is asked nothing that the server has withdrawn", async () => {
    const { called, connection, sample, server } = await start()
    const calling = connection.ask(tool("a"))
    const { id } = await called()
    sample(7, id)
    server.says({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 7 } }, id)
    server.says(done(id))
    assert.deepStrictEqual(await calling, { content: [] })
  })
})

describe("while a request is worked on, its client", () => {
  it("is told of progress under its own token, and of the log what it wants; not of what others listen to", async () => {
    const { called, connection, server } = await start()
    const told: Array<Message.Notification> = []
    const onNotification = (notification: Message.Notification) => void told.push(notification)
    const params = { name: "a", _meta: { progressToken: "mine" } }
    const calling = connection.ask(request("tools/call", params, { onNotification, logLevel: "warning" }))
    const { id, params: sent } = await called()
    assert.deepStrictEqual(sent?._meta, { progressToken: id })
    const say = (method: string, params?: Message.Params) => server.says({ jsonrpc: "2.0", method, params }, id)
    say("notifications/progress", { progressToken: id, progress: 1 })
    for (const level of ["info", "warning", "error", "nonsense"]) say("notifications/message", { level, data: level })
    say("notifications/tools/list_changed")
    server.says(done(id))
    await calling
    assert.deepStrictEqual(
      told.map(({ params }) => params),
      [
        { progressToken: "mine", progress: 1 },
        { level: "warning", data: "warning" },
        { level: "error", data: "error" }
      ]
    )
  })

  it("hears nothing of the log where it does not ask; servers log what any request wants", async () => {
    const { called, connection, server } = await start()
    const told: Array<Message.Notification> = []
    const calls = ["error", "nonsense", "warning", "error", "debug", undefined].map((logLevel) =>
      connection.ask(tool("a", { logLevel, onNotification: (each) => void told.push(each) }))
    )
    await called(5)
    assert.deepStrictEqual(
      server.asked("logging/setLevel").map(({ params }) => params),
      [{ level: "error" }, { level: "warning" }, { level: "debug" }]
    )
    const ids = server.asked("tools/call").map(({ id }) => id)
    server.says({ jsonrpc: "2.0", method: "notifications/message", params: { level: "emergency" } }, ids[5])
    for (const id of ids) server.says(done(id))
    await Promise.all(calls)
    assert.deepStrictEqual(told, [])
  })

  it("gets errors as they are", async () => {
    const { called, connection, server } = await start()
    const calling = failed(connection.ask(tool("a")))
    const { id } = await called()
    server.says({ jsonrpc: "2.0", id, error: { code: -32042, message: "m", data: { a: 1 } } })
    const error = await calling
    assert.instanceOf(error, AnswerError)
    assert.deepStrictEqual(
      [error, { code: -32042, message: "m", data: { a: 1 } }].map((each) => Object(each).data),
      [{ a: 1 }, { a: 1 }]
    )
    assert.strictEqual(Object(error).code, -32042)
  })
})

describe("the connections of clients", () => {
  const client = (name: string) => ({ clientInfo: { name, version: "1" }, capabilities: {} })
  const make = (world: ReturnType<typeof scripted>) => new Connections({ open: world.open, onNotification: () => {} })

  it("are one for those that say the same, and end when they are idle for ten minutes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    const world = scripted()
    const connections = make(world)
    assert.strictEqual(world.connections.length, 0)
    const a = connections.of(client("a"))
    assert.strictEqual(connections.of(client("a")), a)
    assert.notStrictEqual(connections.of(client("b")), a)
    await a.server
    const calling = a.ask(tool("x"))
    const { id } = await world.asked(0, "tools/call")
    vi.advanceTimersByTime(10 * 60_000)
    await world.until(() => world.connections[1]?.isClosed() === true || undefined)
    assert.isFalse(world.connections[0]?.isClosed())
    world.connections[0]?.says(done(id))
    await calling
    vi.advanceTimersByTime(10 * 60_000)
    await world.until(() => world.connections[0]?.isClosed() === true || undefined)
    await connections.close()
  })

  it("are 64 at a time: an idle one gives way, and where all are in use, the next client is refused", async () => {
    const world = scripted()
    const connections = make(world)
    const all = Array.from({ length: 64 }, (_, at) => connections.of(client(`${at}`)))
    const calls = all.slice(1).map((each) => each.ask(tool("x")))
    for (let at = 1; at < 64; at++) await world.asked(at, "tools/call")
    const next = connections.of(client("next"))
    await world.until(() => world.connections[0]?.isClosed() === true || undefined)
    const last = next.ask(tool("x"))
    await world.asked(64, "tools/call")
    assert.throws(() => connections.of(client("one more")), /Too many clients/)
    // those that there are go on
    assert.strictEqual(connections.of(client("5")), all[5])
    for (const each of world.connections) for (const { id } of each.asked("tools/call")) each.says(done(id))
    await Promise.all([...calls, last])
    await connections.close()
    assert.isTrue(world.connections.every((each) => each.isClosed()))
  })

  it("do not give way while a call waits for them to open", async () => {
    const world = scripted()
    const connections = make(world)
    const calls = Array.from({ length: 64 }, (_, at) => connections.of(client(`${at}`)).ask(tool("x")))
    assert.throws(() => connections.of(client("one more")), /Too many clients/)
    for (let at = 0; at < 64; at++) {
      const { id } = await world.asked(at, "tools/call")
      world.connections[at]?.says(done(id))
    }
    await Promise.all(calls)
    await connections.close()
  })

  it("are none for a client that says too much of itself", () => {
    const world = scripted()
    const connections = make(world)
    assert.throws(() => connections.of(client("x".repeat(20_000))), /too much/)
    assert.strictEqual(world.connections.length, 0)
  })

  it("that could not be initialized are made anew for the next request", async () => {
    const refused = (id: Message.Id): Message.Answer => ({ jsonrpc: "2.0", id, error: { code: -32603, message: "no" } })
    let isRefused = true
    const world = scripted({
      initialized: (id) => (isRefused ? refused(id) : { jsonrpc: "2.0", id, result: { serverInfo: {} } })
    })
    const connections = make(world)
    assert.include(String(await failed(connections.of(client("a")).ask(tool("x")))), "no")
    assert.include(String(await failed(connections.base.server)), "no")
    await world.until(() => world.connections.every((each) => each.isClosed()) || undefined)
    isRefused = false
    assert.deepStrictEqual(await connections.base.server, { serverInfo: {} })
    await connections.of(client("a")).server
    await connections.close()
    assert.throws(() => connections.base, /closed/)
  })
})
