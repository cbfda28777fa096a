/** What a client sees on its socket of an endpoint on a port. */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { once } from "node:events"
import { assert, describe, it } from "vitest"
import { endpoint, headers, open, type Options, request } from "./scripted.ts"
import { post, serving } from "./socket.ts"

const log = (data: string): Message.Message => ({ jsonrpc: "2.0", method: "notifications/message", params: { data } })
const result = (id: Message.Id): Message.Answer => ({ jsonrpc: "2.0", id, result: {} })

/** A session, a socket that has asked something in it, and the server's end. */
const asked = async (message: Message.Message = request(1), options?: Options) => {
  const { connections, endpoint: made, fetch } = endpoint(options)
  const session = await open(fetch)
  const { pieces, socket } = await serving(made.answer)
  const [connection] = connections
  if (connection === undefined) throw new Error("no connection")
  post(socket, JSON.stringify(message), headers(session))
  return { pieces, session, socket, connection, fetch }
}

/** Waits until the server has taken such a message. */
const taken = async (
  { taken }: { readonly taken: ReadonlyArray<Message.Message> },
  fits: (message: Message.Message) => boolean
) => {
  while (!taken.some(fits)) await new Promise((resolve) => setImmediate(resolve))
}
const isRequest = (message: Message.Message) => Message.isRequest(message) && message.id === 1
const isCancelled = (message: Message.Message) => Message.cancelled(message) === 1

describe("an answer on a port", () => {
  it("that is all there is to say is JSON, in one piece", async () => {
    const { pieces, session, socket } = await asked(request(1), { answered: result })
    await once(socket, "data")
    assert.lengthOf(pieces, 1)
    const [head = "", body = ""] = pieces[0]?.split("\r\n\r\n") ?? []
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(head, /^content-type: application\/json$/im)
    assert.match(head, new RegExp(`^content-length: ${body.length}$`, "im"))
    assert.match(head, new RegExp(`^mcp-session-id: ${session}$`, "im"))
    assert.deepStrictEqual(JSON.parse(body), result(1))
  })

  it("behind something else is an event, apart from what came before it", async () => {
    const { connection, pieces, socket } = await asked()
    await taken(connection, isRequest)
    connection.says(log("a"), { relatedRequestId: 1 })
    connection.says(log("b"), { relatedRequestId: 1 })
    connection.says(result(1))
    while (!pieces.join("").endsWith("0\r\n\r\n")) await once(socket, "data")
    const all = pieces.join("")
    assert.match(all, /^content-type: text\/event-stream$/im)
    assert.match(all, /"data":"a"[^]*"data":"b"[^]*event: message\ndata: \{"jsonrpc":"2.0","id":1,"result":\{\}\}\n\n/)
    assert.notInclude(pieces.find((piece) => piece.includes(`"result"`)) ?? "", `"data"`)
  })

  it("that takes longer is an event, whose head came before", async () => {
    const { connection, pieces, socket } = await asked()
    await once(socket, "data")
    assert.match(pieces.join(""), /^HTTP\/1\.1 200 OK\r\n[^]*text\/event-stream[^]*\r\n\r\n$/)
    connection.says(result(1))
    while (!pieces.join("").endsWith("0\r\n\r\n")) await once(socket, "data")
    assert.include(pieces.join(""), `data: ${JSON.stringify(result(1))}\n\n`)
  })

  it("to what is no request has no body", async () => {
    const { connection, pieces, socket } = await asked(log("x"))
    await once(socket, "data")
    assert.match(pieces.join(""), /^HTTP\/1\.1 202 Accepted\r\n[^]*content-length: 0\r\n[^]*\r\n\r\n$/i)
    assert.deepStrictEqual(connection.taken.at(-1), log("x"))
  })

  it("that is refused says why, as JSON", async () => {
    const { endpoint: made } = endpoint()
    const { pieces, socket } = await serving(made.answer)
    post(socket, "{", headers("unknown"))
    await once(socket, "data")
    assert.match(pieces.join(""), /^HTTP\/1\.1 400 [^]*application\/json[^]*"code":-32700/)
  })
})

describe("a request on a port", () => {
  it.each([
    ["at once", 0],
    ["when it has had the head", 1]
  ])("is cancelled when its client goes away %s, and the session goes on", async (_, heads) => {
    const { connection, fetch, session, socket } = await asked()
    await taken(connection, isRequest)
    if (heads > 0) await once(socket, "data")
    socket.destroy()
    await taken(connection, isCancelled)
    const init = { method: "POST", headers: headers(session), body: JSON.stringify(log("on")) }
    assert.strictEqual((await fetch("http://kept.invalid", init)).status, 202)
  })

  it("is cancelled and answered with an error when its client does not read what comes meanwhile", async () => {
    const { connection, pieces, socket } = await asked()
    await taken(connection, isRequest)
    socket.pause()
    const much = log("x".repeat(1024 * 1024))
    // 16 MiB wait here, and a few are with the kernel and with Node
    for (let said = 0; said < 64 && !connection.taken.some(isCancelled); said++) {
      connection.says(much, { relatedRequestId: 1 })
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.isTrue(connection.taken.some(isCancelled))
    socket.resume()
    while (!pieces.at(-1)?.endsWith("0\r\n\r\n")) await once(socket, "data")
    assert.include(pieces.join("").slice(-2000), "was not read")
  })
})

describe("a standing stream on a port", () => {
  it("has its head at once, and its messages as they come", async () => {
    const { endpoint: made, connections, fetch } = endpoint()
    const session = await open(fetch)
    const { pieces, socket } = await serving(made.answer)
    const lines = Object.entries({ host: "localhost", ...headers(session) }).map((each) => each.join(": "))
    socket.write(`GET /mcp HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`)
    await once(socket, "data")
    assert.match(pieces.join(""), /^HTTP\/1\.1 200 OK\r\n[^]*text\/event-stream[^]*\r\n\r\n$/)
    connections[0]?.says(log("first"))
    await once(socket, "data")
    assert.include(pieces.join(""), `data: ${JSON.stringify(log("first"))}\n\n`)
  })
})
