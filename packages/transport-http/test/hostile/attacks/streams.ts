/** Event streams and heads that do not end, and what a stream says of itself: ids, retry. */
import type * as Http from "node:http"
import { type Attack, event, type Exchange, notification, pour, resultOf, stream, textOf } from "./exchange.ts"

/** The same on the stream of an answer and on the standing stream. */
const both = (attack: (response: Http.ServerResponse) => void): Attack => ({
  call: ({ response }) => attack(stream(response)),
  standing: attack
})

const pouring = (chunk: string | Buffer): Attack => both((response) => pour(response, () => chunk))

/** One beginning, and then the same again and again, as a line that does not end. */
const endless = (beginning: string, then: string): Attack =>
  both((response) => {
    response.write(beginning)
    pour(response, () => then)
  })

const filler = "x".repeat(64 * 1024)

/** An event with an id of so many bytes that no other event has. */
const identified = (nth: number, bytes: number): Buffer =>
  Buffer.concat([
    Buffer.from(`id: ${nth}-`),
    Buffer.alloc(bytes - `${nth}-`.length, "i"),
    Buffer.from(`\n${event(notification)}`)
  ])

/** Lines of a head, the same again and again, until the connection ends or there are so many of them. */
const head = ({ response }: Exchange, lines: number): void => {
  const { socket } = response
  if (socket === null) return
  const line = "x-line: value\r\n"
  socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
  if (lines === Infinity) pour(socket, () => line.repeat(100))
  else socket.write(`${line.repeat(lines)}content-length: 2\r\n\r\n{}`)
}

/** How long to wait before the stream is opened again: more than a timer can hold, and more than a number can. */
const retries = ["3000000000", "9".repeat(1_000_000)]

/** See the module. */
export const attacks = {
  "ids of 60 MB": both((response) => {
    let nth = 0
    pour(response, () => identified(nth++, 60_000_000))
  }),
  "ids of 1 KiB": {
    standing: (response) => {
      for (let nth = 0; nth < 1000; nth++) response.write(identified(nth, 1024))
    },
    call: (exchange) => {
      stream(exchange.response)
      for (let nth = 0; nth < 1000; nth++) exchange.response.write(identified(nth, 1024))
      exchange.response.end(event(resultOf(exchange, textOf("x"))))
    }
  },
  "ids within large events": {
    call: async (exchange) => {
      const id = crypto.randomUUID()
      const text = "x".repeat(120_000)
      // the id behind the data, where a parser that waits for the end of a line has all of it in one string
      stream(exchange.response).end(`data: ${resultOf(exchange, textOf(text))}\nid: answer-${id}\n\n`)
      const standing = await exchange.standing
      standing.write(`id: standing-${id}\n${event({ ...notification, params: { level: "info", data: text } })}`)
    }
  },
  "empty data lines": pouring("data:\n".repeat(10_000)),
  "data line": endless("data: ", filler),
  comments: pouring(": nothing\n".repeat(6_000)),
  "comment line": endless(": ", filler),
  "head of many lines": { call: (exchange) => head(exchange, 20_000) },
  "head without an end": { call: (exchange) => head(exchange, Infinity) },
  retry: {
    call: ({ message, response }) => {
      const retry = retries[message.params?.arguments?.message === "huge" ? 1 : 0]
      stream(response).end(`id: 1\nretry: ${retry}\n${event(notification)}`)
    },
    standing: (response) => {
      response.end(`id: 2\nretry: ${retries[0]}\n${event(notification)}`)
    }
  },
  "retry of a million digits": {
    standing: (response) => {
      response.end(`id: 2\nretry: ${retries[1]}\n${event(notification)}`)
    }
  },
  "deep notification": {
    standing: (response) => {
      const nested = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
      const text = JSON.stringify({ ...notification, params: { level: "info", data: "$" } })
      for (let nth = 0; nth < 5; nth++) response.write(event(text.replace('"$"', () => nested)))
    }
  }
} satisfies Readonly<Record<string, Attack>>
