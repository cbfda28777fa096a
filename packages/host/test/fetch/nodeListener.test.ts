/** What a client sees on its socket of a `fetch` that answers requests of `node:http`. */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { byFetch, type Fetch } from "../../src/internal/fetch/exchange.ts"
import { post, serving } from "./socket.ts"

const world = (fetch: Fetch) => serving(byFetch(fetch))

const events = { headers: { "content-type": "text/event-stream" } }
const encoder = new TextEncoder()

describe("an answer", () => {
  it("that comes soon goes out in one piece, with its head and its end", async () => {
    const { pieces, socket } = await world(async () => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          setImmediate(() => {
            controller.enqueue(encoder.encode("data: answer\n\n"))
            controller.close()
          })
        }
      })
      return new Response(body, events)
    })
    post(socket)
    await once(socket, "data")
    assert.lengthOf(pieces, 1)
    assert.match(pieces[0] ?? "", /^HTTP\/1\.1 200 OK\r\n[^]*data: answer\n\n[^]*0\r\n\r\n$/)
  })

  it("that takes longer has its head before", async () => {
    let answer = () => {}
    const { pieces, socket } = await world(async () => {
      const body = new ReadableStream<Uint8Array>({ start: (controller) => (answer = () => controller.close()) })
      return new Response(body, events)
    })
    post(socket)
    await once(socket, "data")
    assert.match(pieces.join(""), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/)
    answer()
    await once(socket, "data")
    assert.match(pieces.join(""), /0\r\n\r\n$/)
  })

  it("is produced no faster than it is read", async () => {
    const chunk = new Uint8Array(64 * 1024)
    let produced = 0
    const { pieces, socket } = await world(async () => {
      const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
        produced++
        if (produced === 2000) controller.close()
        else controller.enqueue(chunk)
      }
      return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), events)
    })
    socket.pause()
    post(socket)
    // what the kernel and Node take before anybody reads is a few megabytes of the 128
    for (let before = -1; before <= 0 || before < produced;) {
      before = produced
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    assert.isBelow(produced, 1000)
    socket.resume()
    while (!pieces.at(-1)?.endsWith("0\r\n\r\n")) await once(socket, "data")
    assert.strictEqual(produced, 2000)
  })
})

describe("the signal of a request", () => {
  it("is not aborted by an answer that has ended", async () => {
    const signals: Array<AbortSignal> = []
    const { socket } = await world(async (_, { signal }) => {
      if (signal) signals.push(signal)
      return new Response("{}")
    })
    post(socket)
    await once(socket, "data")
    post(socket)
    await once(socket, "data")
    socket.destroy()
    await once(socket, "close")
    assert.deepStrictEqual(
      signals.map(({ aborted }) => aborted),
      [false, false]
    )
  })

  it("is aborted, and the body cancelled, when the client goes away", async () => {
    let cancelled = () => {}
    const isCancelled = new Promise<void>((resolve) => (cancelled = resolve))
    let signal: AbortSignal | null | undefined
    const { socket } = await world(async (_, init) => {
      signal = init.signal
      return new Response(new ReadableStream({ cancel: cancelled }), events)
    })
    post(socket)
    await once(socket, "data")
    socket.destroy()
    await isCancelled
    assert.isTrue(signal?.aborted)
  })
})

describe("a request", () => {
  it("that is cut within its body is not answered, and another one is", async () => {
    let asked = 0
    const { socket } = await world(async () => {
      asked++
      return new Response("{}")
    })
    const { remotePort: port = 0 } = await connected(socket)
    const cut = connect({ port, host: "127.0.0.1" }).resume()
    cut.write("POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{}")
    cut.end()
    await once(cut, "close")
    post(socket)
    await once(socket, "data")
    assert.strictEqual(asked, 1)
  })

  it("with a longer body than it may have is refused, however it is sent", async () => {
    let asked = 0
    const { pieces, socket } = await world(async () => {
      asked++
      return new Response("{}")
    })
    socket.on("error", () => {})
    socket.write("POST /mcp HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
    const piece = `100000\r\n${"x".repeat(0x100000)}\r\n`
    for (let sent = 0; sent <= 16; sent++) socket.write(piece)
    await once(socket, "data")
    assert.match(pieces.join(""), /^HTTP\/1\.1 413 /)
    assert.strictEqual(asked, 0)
  })
})

const connected = async (socket: Socket): Promise<Socket> => {
  if (socket.connecting) await once(socket, "connect")
  return socket
}
