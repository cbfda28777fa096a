/** One request with its answer on its way through the proxy, and what the faults do to it. */
import { Duration } from "effect"
import * as Http from "node:http"
import type { Facts, Fault } from "../Fault.ts"
import type { Injection, Injections } from "./injections.ts"
import * as Lane from "./lane.ts"
import { reset } from "./reset.ts"

export interface Exchange {
  readonly facts: Facts
  readonly client: Http.IncomingMessage["socket"]
  /** Whether the request goes on to the target. */
  readonly forwarded: boolean
  /** Whether the head of the answer has been passed on and the answer is not complete. */
  readonly streaming: () => boolean
  /** Applies a fault that came into force while the exchange is under way. */
  readonly afflict: (injection: Injection) => void
  /** Undoes what can be undone of a fault that is no longer in force. */
  readonly heal: (injection: Injection) => void
  /** Ends it on both sides. */
  readonly destroy: () => void
}

export interface Options {
  readonly targetPort: number
  readonly upstreamDown: "reset" | 502
  readonly injections: Injections
  readonly request: Http.IncomingMessage
  readonly response: Http.ServerResponse
  readonly body: Buffer
  readonly facts: Facts
  /** Called once, when nothing of it is left. */
  readonly onSettled: (exchange: Exchange) => void
}

/** Headers that belong to one connection and not to the message (RFC 9110, 7.6.1), and `host`, which is set anew. */
const ownHeaders = new Set(["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"])

const passedHeaders = (raw: ReadonlyArray<string>): Array<string> =>
  raw.flatMap((name, i) => (i % 2 === 0 && !ownHeaders.has(name.toLowerCase()) ? [name, raw[i + 1] ?? ""] : []))

/** A chunk that announces 1024 bytes and brings 13: what a proxy that dies in the middle leaves behind. */
const partialChunk = '400\r\ndata: {"jsonr'

type Of<Tag extends Fault["_tag"]> = Extract<Fault, { readonly _tag: Tag }>
const isTag =
  <Tag extends Fault["_tag"]>(...tags: ReadonlyArray<Tag>) =>
  (injection: Injection): injection is Injection & { readonly fault: Of<Tag> } =>
    tags.some((tag) => tag === injection.fault._tag)

export const start = (options: Options): Exchange => {
  const { facts, injections, request, response } = options
  const client = request.socket
  let upstream: Http.ClientRequest | undefined
  let answered: Http.IncomingMessage | undefined
  let isChunked = true
  let dropped: Injection | undefined
  let over = false
  let forwardedBytes = 0
  let idleTimer: NodeJS.Timeout | undefined

  const applicable = () => injections.applicable(facts, exchange)
  const strike = (injection: Injection) => injections.strike(injection, exchange)

  const shape = (): Lane.Shape => {
    let delay = 0
    let bytesPerSecond = Infinity
    for (const injection of applicable().filter(isTag("Delay", "Throttle"))) {
      strike(injection)
      if (injection.fault._tag === "Delay") delay += Duration.toMillis(injection.fault.each)
      else bytesPerSecond = Math.min(bytesPerSecond, injection.fault.bytesPerSecond)
    }
    return { delay, bytesPerSecond }
  }
  const requestLane = Lane.make({ shape, write: () => {} })
  const answerLane = Lane.make({
    shape,
    write: (bytes) => {
      if (over || response.write(bytes)) return
      answered?.pause()
      response.once("drain", () => answered?.resume())
    }
  })

  /** No further byte in either direction, and the target's side is closed; the client's is left to the caller. */
  const stop = () => {
    over = true
    clearTimeout(idleTimer)
    requestLane.discard()
    answerLane.discard()
    upstream?.destroy()
  }
  const destroy = () => {
    stop()
    client.destroy()
    options.onSettled(exchange)
  }

  const watchIdle = () => {
    clearTimeout(idleTimer)
    if (over || dropped !== undefined) return
    const cut = applicable().find(isTag("IdleCut"))
    if (cut === undefined) return
    idleTimer = setTimeout(() => {
      strike(cut)
      stop()
      if (response.headersSent) client.destroySoon()
      else response.writeHead(504).end()
    }, Duration.toMillis(cut.fault.after))
  }

  const cutMidChunk = (injection: Injection, chunked: boolean) => {
    if (over) return
    strike(injection)
    stop()
    if (chunked) client.write(partialChunk)
    client.destroySoon()
  }

  /** What a fault does to the connection by itself, whatever the answer is. */
  const hit = (injection: Injection & { readonly fault: Of<"SilentDrop" | "HalfClose" | "Reset"> }) => {
    strike(injection)
    if (injection.fault._tag === "SilentDrop") {
      dropped = injection
      clearTimeout(idleTimer)
      requestLane.discard()
      answerLane.discard()
      return
    }
    stop()
    if (injection.fault._tag === "HalfClose") client.end()
    else reset(client)
  }

  const onAnswer = (answer: Http.IncomingMessage) => {
    const status = answer.statusCode ?? 502
    const length = answer.headers["content-length"]
    const hasBody = ![202, 204, 304].includes(status) && length !== "0" && request.method !== "HEAD"
    const cut = () => (hasBody ? applicable().find(isTag("CutMidChunk")) : undefined)
    isChunked = length === undefined
    answered = answer

    const push = (bytes: Buffer) => {
      answerLane.push(bytes)
      forwardedBytes += bytes.length
    }
    answer.on("data", (bytes: Buffer) => {
      if (over || dropped !== undefined) return
      watchIdle()
      const fault = cut()
      const room = (fault?.fault.after ?? 0) - forwardedBytes
      if (fault === undefined || bytes.length <= room) return push(bytes)
      if (room > 0) push(bytes.subarray(0, room))
      answerLane.finish(() => cutMidChunk(fault, isChunked))
    })
    answer.on("error", () => {})
    answer.on("close", () => {
      if (over || dropped !== undefined) return
      clearTimeout(idleTimer)
      answerLane.finish(() => {
        if (over) return
        if (answer.complete) response.end()
        else client.destroySoon()
      })
    })
    // Behind the listeners, and in the lane: a head is as late as the bytes that follow it.
    answerLane.finish(() => {
      if (over || dropped !== undefined) return
      response.writeHead(status, answer.statusMessage, passedHeaders(answer.rawHeaders))
      response.flushHeaders()
      watchIdle()
      const fault = cut()
      if (fault !== undefined && (fault.fault.after ?? 0) === 0) cutMidChunk(fault, isChunked)
    })
  }

  const forward = () => {
    if (over || dropped !== undefined) return
    upstream = Http.request({
      host: "127.0.0.1",
      port: options.targetPort,
      method: request.method,
      path: request.url,
      // A connection for each exchange: an upstream that dies takes exactly its own exchange with it.
      agent: false,
      headers: [...passedHeaders(request.rawHeaders), "host", `127.0.0.1:${options.targetPort}`]
    })
    upstream.on("response", onAnswer)
    upstream.on("error", () => {
      if (over || dropped !== undefined || response.headersSent) return
      stop()
      if (options.upstreamDown === 502) response.writeHead(502).end()
      else reset(client)
    })
    watchIdle()
    upstream.end(options.body)
  }

  response.on("close", () => {
    // A black hole does not report to the target that the client has left.
    if (dropped !== undefined && injections.all().includes(dropped)) return
    stop()
    options.onSettled(exchange)
  })

  const exchange: Exchange = {
    facts,
    client,
    get forwarded() {
      return decisive === undefined
    },
    destroy,
    streaming: () => response.headersSent && !over && dropped === undefined,
    afflict: (injection) => {
      if (over || response.writableEnded || dropped !== undefined || !applicable().includes(injection)) return
      if (isTag("SilentDrop", "HalfClose", "Reset")(injection)) hit(injection)
      else if (
        isTag("CutMidChunk")(injection) &&
        response.headersSent &&
        forwardedBytes >= (injection.fault.after ?? 0)
      )
        cutMidChunk(injection, isChunked)
      else if (isTag("IdleCut")(injection)) watchIdle()
    },
    heal: (injection) => {
      if (dropped === injection) {
        const { fault } = injection
        if (fault._tag !== "SilentDrop" || fault.onHeal !== "keep" || response.closed) destroy()
      } else if (dropped === undefined && !over) {
        requestLane.flush()
        answerLane.flush()
        watchIdle()
      }
    }
  }

  const decisive = applicable().find(isTag("SilentDrop", "HalfClose", "Reset", "Answer"))
  if (decisive === undefined) {
    requestLane.push(options.body)
    requestLane.finish(forward)
  } else if (isTag("Answer")(decisive)) {
    strike(decisive)
    over = true
    response.writeHead(decisive.fault.status, { ...decisive.fault.headers }).end(decisive.fault.body ?? "")
  } else if (isTag("SilentDrop", "HalfClose", "Reset")(decisive)) hit(decisive)
  return exchange
}
