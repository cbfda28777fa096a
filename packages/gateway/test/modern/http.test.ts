/** What clients of the modern era get over HTTP, byte by byte. */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { assert, describe, it, onTestFinished } from "vitest"
import { bounded } from "../../src/internal/modern/bounded.ts"
import * as Modern from "../../src/internal/modern/modern.ts"
import { scripted } from "./scripted.ts"

interface More {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

const start = () => {
  const world = scripted()
  const modern = Modern.make({ open: world.open })
  onTestFinished(() => modern.close())
  const post = (method: string, params: Message.Params = {}, { headers, signal }: More = {}) => {
    const { name, uri } = params
    const named = typeof name === "string" ? name : typeof uri === "string" ? uri : undefined
    const meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {}
    }
    return modern.fetch(
      new Request("http://localhost/mcp", {
        signal: signal ?? null,
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          "mcp-protocol-version": "2026-07-28",
          "mcp-method": method,
          ...(named === undefined ? {} : { "mcp-name": named }),
          ...headers
        },
        body: JSON.stringify({
          jsonrpc: "2.0",
          id: 1,
          method,
          params: { ...params, _meta: { ...meta, ...params._meta } }
        })
      })
    )
  }
  return { ...world, modern, post }
}

/** Messages of an event stream, as they come. */
const eventsOf = (response: Response) => {
  if (response.body === null) throw new Error("no body")
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ""
  const next = async (): Promise<Record<string, unknown> | undefined> => {
    for (;;) {
      const at = text.indexOf("\n\n")
      if (at !== -1) {
        const [event, data] = [text.slice(0, at), /^data: (.*)$/m.exec(text.slice(0, at))?.[1]]
        text = text.slice(event.length + 2)
        if (data !== undefined) return JSON.parse(data)
        continue
      }
      const { done, value } = await reader.read()
      if (done) return undefined
      text += value
    }
  }
  return { next, cancel: () => reader.cancel() }
}

const answerOf = async (response: Response): Promise<Record<string, unknown>> => {
  if (response.headers.get("content-type")?.startsWith("application/json") === true)
    return JSON.parse(await response.text())
  const events = eventsOf(response)
  for (let event = await events.next(); event !== undefined; event = await events.next())
    if ("id" in event) return event
  throw new Error("no answer")
}

const resultOf = async (response: Promise<Response>): Promise<Message.Result> => {
  const { result } = await answerOf(await response)
  if (typeof result !== "object" || result === null) throw new Error("no result")
  return { ...result }
}

describe("a request of the modern era", () => {
  it("is answered as its specification has it: what the gateway says of itself, lists that may not be kept, results whole", async () => {
    const { asked, connections, post } = start()
    const discovered = await resultOf(post("server/discover"))
    assert.deepInclude(discovered["supportedVersions"], "2026-07-28")
    assert.strictEqual(discovered["instructions"], "be kind")
    assert.containsAllKeys(discovered["capabilities"], ["tools", "prompts", "resources"])
    const listing = resultOf(post("tools/list"))
    const { id } = await asked(1, "tools/list")
    const tools = [{ name: "a", inputSchema: { type: "object" }, ours: { kept: true } }]
    connections[1]?.says({ jsonrpc: "2.0", id, result: { tools, nextCursor: "c" } })
    assert.deepInclude(await listing, {
      tools,
      nextCursor: "c",
      resultType: "complete",
      ttlMs: 0,
      cacheScope: "private"
    })
    const calling = resultOf(post("tools/call", { name: "a", arguments: { of: "any form" } }))
    const call = await asked(1, "tools/call")
    assert.deepStrictEqual(call.params?.["arguments"], { of: "any form" })
    const content = [{ type: "a type of tomorrow", x: 1 }]
    connections[1]?.says({ jsonrpc: "2.0", id: call.id, result: { content, isError: true } })
    assert.deepInclude(await calling, { content, isError: true, resultType: "complete" })
  })

  it("gets the code and the data of its error", async () => {
    const { asked, connections, post } = start()
    const reading = post("resources/read", { uri: "x://y" })
    const { id } = await asked(1, "resources/read")
    const error = { code: -32050, message: "m", data: { retryAfter: 1 } }
    connections[1]?.says({ jsonrpc: "2.0", id, error })
    assert.deepStrictEqual((await answerOf(await reading))["error"], error)
  })

  it("is none of this era's where the method is gone: it reaches no server", async () => {
    const { connections, post } = start()
    for (const method of ["ping", "logging/setLevel", "resources/subscribe", "initialize"]) {
      const { error } = await answerOf(await post(method, { uri: "x://y", level: "debug" }))
      assert.containsAllKeys(error, ["code", "message"])
    }
    assert.deepStrictEqual(
      connections.flatMap(({ taken }) => taken.filter((each) => "method" in each && !/initialize/.test(each.method))),
      []
    )
  })

  it("of a method that is not there is answered with 404; what it names not being there is no matter of HTTP's", async () => {
    const { asked, connections, post } = start()
    const error = { code: -32601, message: "Method not found" }
    for (const [method, status] of [
      ["x/unknown", 404],
      ["resources/read", 200]
    ] as const) {
      const asking = post(method, { uri: "x://y" })
      const { id } = await asked(1, method)
      connections[1]?.says({ jsonrpc: "2.0", id, error })
      const response = await asking
      assert.deepStrictEqual([response.status, (await answerOf(response))["error"]], [status, error])
    }
  })

  it("says in headers what its tool was listed to want there, and reaches no server where they say another thing", async () => {
    const { asked, connections, post } = start()
    const listed = async (inputSchema: object) => {
      const before = connections[1]?.asked("tools/list").length ?? 0
      const listing = resultOf(post("tools/list"))
      const { id } = await asked(1, "tools/list", before)
      connections[1]?.says({ jsonrpc: "2.0", id, result: { tools: [{ name: "a", inputSchema }] } })
      await listing
    }
    const call = (headers?: Readonly<Record<string, string>>) =>
      post("tools/call", { name: "a", arguments: { region: "eu" } }, headers === undefined ? {} : { headers })
    const passes = async (calling: Promise<Response>, times: number) => {
      const { id } = await asked(1, "tools/call", times)
      connections[1]?.says({ jsonrpc: "2.0", id, result: { content: [] } })
      assert.strictEqual((await calling).status, 200)
    }
    await listed({ type: "object", properties: { region: { type: "string", "x-mcp-header": "Region" } } })
    for (const headers of [undefined, { "mcp-param-region": "us" }, { "mcp-param-region": "=?base64?ZX!U=?=" }]) {
      const response = await call(headers)
      assert.deepInclude((await answerOf(response))["error"], { code: -32020 })
      assert.strictEqual(response.status, 400)
    }
    await passes(call({ "mcp-param-region": "eu" }), 0)
    await listed({ type: "object", properties: { region: { type: "string" } } })
    await passes(call(), 1)
    assert.lengthOf(connections[1]?.asked("tools/call") ?? [], 2)
  })

  it("is cancelled at the server when its client goes", async () => {
    const { asked, connections, post, until } = start()
    const going = new AbortController()
    const calling = post("tools/call", { name: "a" }, { signal: going.signal })
    const { id } = await asked(1, "tools/call")
    going.abort()
    await until(() =>
      connections[1]?.taken.find(
        (each) => "method" in each && each.method === "notifications/cancelled" && each.params?.["requestId"] === id
      )
    )
    await calling.catch(() => {})
  })
})

describe("who listens", () => {
  const listen = (post: ReturnType<typeof start>["post"], notifications: object) =>
    post("subscriptions/listen", { notifications }).then(eventsOf)
  const says = (world: ReturnType<typeof start>, method: string, params?: Message.Params) =>
    world.connections[0]?.says({ jsonrpc: "2.0", method, params })

  it("is told of the lists and the resources that it names, and of no others", async () => {
    const world = start()
    const events = await listen(world.post, { toolsListChanged: true, resourceSubscriptions: ["x://a"] })
    assert.strictEqual((await events.next())?.["method"], "notifications/subscriptions/acknowledged")
    await world.asked(0, "resources/subscribe")
    says(world, "notifications/prompts/list_changed")
    says(world, "notifications/resources/updated", { uri: "x://b" })
    says(world, "notifications/resources/updated", { uri: "x://a" })
    says(world, "notifications/tools/list_changed")
    assert.strictEqual((await events.next())?.["method"], "notifications/resources/updated")
    assert.strictEqual((await events.next())?.["method"], "notifications/tools/list_changed")
    await events.cancel()
  })

  it("has a resource subscribed to by the first that names it, and no longer than by the last", async () => {
    const world = start()
    const named = (...uris: ReadonlyArray<string>) => listen(world.post, { resourceSubscriptions: uris })
    const [first, second] = [await named("x://a", "x://b"), await named("x://a", "x://a")]
    await world.asked(0, "resources/subscribe", 1)
    await first.cancel()
    assert.deepStrictEqual((await world.asked(0, "resources/unsubscribe")).params, { uri: "x://b" })
    await second.cancel()
    assert.deepStrictEqual((await world.asked(0, "resources/unsubscribe", 1)).params, { uri: "x://a" })
    assert.deepStrictEqual(
      world.connections[0]?.asked("resources/subscribe").map(({ params }) => params),
      [{ uri: "x://a" }, { uri: "x://b" }]
    )
  })
})

describe("a body that is not read", () => {
  it("ends with what it comes from where too much waits, and is whole where it is read late", async () => {
    const ends: Array<string> = []
    const source = (chunks: number) => {
      let at = 0
      return new ReadableStream<Uint8Array>({
        pull: (controller) => (at++ < chunks ? controller.enqueue(new Uint8Array(10)) : controller.close()),
        cancel: () => void ends.push("cancelled")
      })
    }
    const ended = () =>
      new Promise<ReadableStream<Uint8Array>>((resolve) => {
        const body = bounded(source(ends.length === 0 ? 10 : 1000), () => setImmediate(() => resolve(body)), 100)
      })
    const whole = await new Response(await ended()).arrayBuffer()
    assert.strictEqual(whole.byteLength, 100)
    ends.push("whole")
    const cut = await ended()
    assert.deepStrictEqual(ends, ["whole", "cancelled"])
    let error: unknown
    await new Response(cut).arrayBuffer().catch((reason: unknown) => (error = reason))
    assert.match(String(error), /not read/)
  })

  it("is cancelled with its reader", async () => {
    let reason: unknown
    const ended = await new Promise<string>((resolve) => {
      const body = new ReadableStream<Uint8Array>({ cancel: (given) => void (reason = given) })
      void bounded(body, () => resolve("ended")).cancel("gone")
    })
    assert.deepStrictEqual([ended, reason], ["ended", "gone"])
  })
})
