/** Answers that are too much: bombs, deep ones, ones in tiny pieces, codings that lie, refusals without an end. */
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { type Attack, type Exchange, json, pour, resultOf, stream, textOf } from "./exchange.ts"

const mebibyte = 1024 * 1024

/** Remembers what was made for each number. */
function once(make: (bytes: number) => Buffer): (bytes: number) => Buffer {
  const made = new Map<number, Buffer>()
  return (bytes) => {
    const known = made.get(bytes) ?? make(bytes)
    made.set(bytes, known)
    return known
  }
}

/** Some 58 KB as gzip. */
const overTheBound = 60_000_000
/** Over 5 million objects within 16 MiB. */
const withinTheBound = 16 * mebibyte - 1024

/** A message in parts: what is between the first and the last is the same for every request. */
type Parts = readonly [head: string, filling: Buffer, tail: string]

/** A result that is one list of empty objects, of about so many bytes. */
const bomb = (exchange: Exchange, bytes: number): Parts => {
  const [head = "", tail = ""] = resultOf(exchange, { content: [], structuredContent: { bomb: ["{}"] } }).split('"{}"')
  return [head, objects(bytes), `{}${tail}`]
}

const objects = once((bytes) => Buffer.alloc(bytes - (bytes % 3), "{},"))

/** Each part a member of its own (RFC 1952, 2.2), so that the long one is compressed once and no probe waits for it. */
const gzip = ([head, filling, tail]: Parts): Buffer =>
  Buffer.concat([gzipSync(head), gzipOfObjects(filling.length), gzipSync(tail)])

const gzipOfObjects = once((bytes) => gzipSync(objects(bytes)))

const codings = {
  gzip,
  // the lowest quality is quick, and enough for what repeats itself
  br: (parts: Parts) => brotliCompressSync(joined(parts), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })
} as const
type Coding = keyof typeof codings

const joined = ([head, filling, tail]: Parts): Buffer => Buffer.concat([Buffer.from(head), filling, Buffer.from(tail)])

const sizeOf = ({ message }: Exchange) =>
  message.params?.arguments?.message === "within" ? withinTheBound : overTheBound

/** An answer as JSON or as an event, compressed or not. */
const send = ({ response }: Exchange, parts: Parts, form: "json" | "sse", coding?: Coding): void => {
  const [head, filling, tail] = parts
  const written: Parts = form === "json" ? parts : [`data: ${head}`, filling, `${tail}\n\n`]
  const headers = coding === undefined ? {} : { "content-encoding": coding }
  const body = coding === undefined ? joined(written) : codings[coding](written)
  if (form === "json") json(response, body, headers)
  else stream(response, headers).end(body)
}

const whole = (text: string): Parts => [text, Buffer.alloc(0), ""]

/** The long parts of every bomb, compressed. */
const prepare = () => [overTheBound, withinTheBound].forEach((bytes) => gzipOfObjects(objects(bytes).length))

const bombs = (form: "json" | "sse", coding?: Coding): Attack => ({
  prepare,
  call: (exchange) => send(exchange, bomb(exchange, sizeOf(exchange)), form, coding)
})

/** As many empty objects as are allowed in one message, nearly. */
const manyObjects = (exchange: Exchange) => bomb(exchange, 400_000 * 3)

/** As many characters of text as fit into one message, nearly. */
const longText = (exchange: Exchange) => whole(answerOf(exchange, 15 * mebibyte))

/** A result in which objects are nested 100,000 times. */
const deep = (exchange: Exchange): string => {
  const levels = 100_000
  const nested = `${'{"a":'.repeat(levels)}0${"}".repeat(levels)}`
  return resultOf(exchange, { content: [], structuredContent: { deep: "$" } }).replace('"$"', () => nested)
}

/** Writes one byte, waits until it is gone, writes the next one. */
const inBytes = ({ response }: Exchange, text: string): void => {
  let at = 0
  const next = () => {
    if (at === text.length) return void response.end()
    response.write(text[at++])
    setImmediate(next)
  }
  next()
}

/** Writes all at once, each byte as a chunk of HTTP's. */
const inChunks = ({ response }: Exchange, type: string, text: string): void => {
  const head = `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`
  const chunks = Buffer.alloc(text.length * 6, "1\r\n \r\n")
  for (let at = 0; at < text.length; at++) chunks[at * 6 + 3] = text.charCodeAt(at)
  response.socket?.write(Buffer.concat([Buffer.from(head), chunks, Buffer.from("0\r\n\r\n")]))
}

const answerOf = (exchange: Exchange, characters: number) => resultOf(exchange, textOf("x".repeat(characters)))

const refusal = (status: number): Attack => ({
  call: ({ response }) => pour(response.writeHead(status, { "content-type": "text/plain" }), () => "no ".repeat(10_000))
})

/** See the module. */
export const attacks = {
  "bomb, JSON": bombs("json"),
  "bomb, JSON, gzip": bombs("json", "gzip"),
  "bomb, JSON, brotli": bombs("json", "br"),
  "bomb, event": bombs("sse"),
  "bomb, event, gzip": bombs("sse", "gzip"),
  "bomb, event, brotli": bombs("sse", "br"),
  "bomb, gzip twice": {
    prepare,
    call: (exchange) => {
      const body = gzipSync(gzip(bomb(exchange, overTheBound)))
      json(exchange.response, body, { "content-encoding": "gzip, gzip" })
    }
  },
  "ping bomb, JSON": { ping: (exchange) => send(exchange, whole(answerOf(exchange, 2 * mebibyte)), "json") },
  "ping bomb, gzip": { prepare, ping: (exchange) => send(exchange, bomb(exchange, overTheBound), "sse", "gzip") },
  "ping bomb, brotli": { prepare, ping: (exchange) => send(exchange, bomb(exchange, overTheBound), "json", "br") },
  "much, within the bounds": {
    call: (exchange) => {
      switch (exchange.message.params?.arguments?.message) {
        case "objects":
          return send(exchange, manyObjects(exchange), "json", "gzip")
        case "text":
          return send(exchange, longText(exchange), "json")
        default:
          return send(exchange, longText(exchange), "sse")
      }
    }
  },
  "deep answer": {
    call: (exchange) =>
      send(exchange, whole(deep(exchange)), exchange.message.params?.arguments?.message === "sse" ? "sse" : "json")
  },
  "bytes, JSON": {
    call: (exchange) => {
      exchange.response.writeHead(200, { "content-type": "application/json" })
      inBytes(exchange, answerOf(exchange, 10_000))
    }
  },
  "bytes, event": {
    call: (exchange) => {
      stream(exchange.response)
      inBytes(exchange, `data: ${answerOf(exchange, 10_000)}\n\n`)
    }
  },
  "chunks, JSON": {
    call: (exchange) => inChunks(exchange, "application/json", answerOf(exchange, mebibyte))
  },
  "chunks, event": {
    call: (exchange) => inChunks(exchange, "text/event-stream", `data: ${answerOf(exchange, mebibyte)}\n\n`)
  },
  "coding that lies": {
    call: (exchange) => {
      const plain = answerOf(exchange, 100)
      switch (exchange.message.params?.arguments?.message) {
        case "gzip":
          return json(exchange.response, plain, { "content-encoding": "gzip" })
        case "br":
          return json(exchange.response, plain, { "content-encoding": "br" })
        default:
          return json(exchange.response, gzipSync(plain))
      }
    }
  },
  "refusal 422 without an end": refusal(422),
  "refusal 500 without an end": refusal(500)
} satisfies Readonly<Record<string, Attack>>
