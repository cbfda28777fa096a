/** The pieces that need no server. */
import { FailureReason } from "@vmcp-keepalive/core"
import { Message, Reopening } from "@vmcp-keepalive/sdk-client/peer"
import { describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { Bytes } from "../../src/internal/http/bytes.ts"
import { Exchange } from "../../src/internal/http/exchange.ts"
import * as Failure from "../../src/internal/http/failure.ts"
import * as Redirect from "../../src/internal/http/redirect.ts"
import { Slots, type Waiter } from "../../src/internal/session/slots.ts"
import { EventStreamReader, type ServerSentEvent } from "../../src/internal/stream/eventStream.ts"
import { HttpPeerConnector } from "../../src/peer.ts"
import { kindFor } from "../../src/internal/stream/incoming.ts"
import { SeenEvents } from "../../src/internal/stream/seenEvents.ts"

/** What Node's fetch throws. */
const wrapped = (code: string, more: object = {}) =>
  new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code, ...more }) })

/** Outcomes of a standing stream's connection, and the delays that follow them. */
const ended = (lived: number, events = 0, retry?: number): Reopening.Outcome => ({
  _tag: "Ended",
  lived,
  events,
  retry
})
const failed: Reopening.Outcome = { _tag: "Failed", evidence: { _tag: "TransportFailure", reason: "refused" } }
const refused = (status: number, withSession = true): Reopening.Outcome => ({
  _tag: "Refused",
  evidence: { _tag: "Refused", status, withSession }
})
const delays = (outcomes: ReadonlyArray<Reopening.Outcome>) => {
  let memory = Reopening.initial
  return outcomes.map((outcome) => {
    const next = Reopening.step(memory, outcome, 1)
    memory = next.memory
    return next.delay
  })
}

describe("a connector", () => {
  it("has the origin of its URL, without anything of it that may be secret, by which its attempts are paced", () => {
    for (const make of [HttpConnector.make, HttpPeerConnector.make]) {
      const originOf = (url: string) => make({ url }).origin
      expect(originOf("https://example.com/mcp?token=secret")).toEqual({ key: "https://example.com" })
      expect(originOf("https://EXAMPLE.com:443/other#here")).toEqual({ key: "https://example.com" })
      expect(originOf("http://example.com:8080/mcp")).toEqual({ key: "http://example.com:8080" })
      expect(originOf("no URL")).toBeUndefined()
    }
  })
})

const errnos = [
  "EACCES",
  "EADDRNOTAVAIL",
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EMFILE",
  "ENETDOWN",
  "ENETUNREACH",
  "ENFILE",
  "ENOBUFS",
  "ENOTFOUND",
  "EPIPE",
  "EPROTO",
  "ETIMEDOUT"
]
const otherCodes = [
  "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_TLS_HANDSHAKE_TIMEOUT",
  "UND_ERR_SOCKET",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "HPE_INVALID_CONSTANT"
]
const certificateCodes = [
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
]

describe("whether a request was sent", () => {
  it("is decided by how far the sender knows that it came, whatever the code", () => {
    for (const code of [...errnos, ...otherCodes, ...certificateCodes]) {
      for (const syscall of [undefined, "connect", "read", "write", "getaddrinfo"]) {
        expect(Failure.isUnsent("unsent", { code, syscall })).toBe(true)
        expect(Failure.isUnsent("sent", { code, syscall })).toBe(false)
        expect(Failure.of(wrapped(code, { syscall }), "sent").unsent).toBe(false)
        expect(Failure.of(wrapped(code, { syscall }), "unsent").unsent).toBe(true)
      }
    }
  })

  it("is proven by the failing step where the sender does not know, and by no errno", () => {
    for (const code of errnos) {
      for (const syscall of ["connect", "getaddrinfo"])
        expect(Failure.of(wrapped(code, { syscall }), "unknown").unsent).toBe(true)
      for (const syscall of ["read", "write", "shutdown", undefined])
        expect(Failure.of(wrapped(code, { syscall }), "unknown").unsent).toBe(false)
    }
    for (const code of [...otherCodes, ...certificateCodes])
      expect(Failure.of(wrapped(code), "unknown").unsent).toBe(false)
    // undici's own word for a connection that was not made in time
    expect(Failure.of(wrapped("UND_ERR_CONNECT_TIMEOUT"), "unknown").unsent).toBe(true)
    expect(Failure.of(new TypeError("fetch failed", { cause: new Error("bad port") }), "unknown").unsent).toBe(true)
  })

  it("is proven of several addresses only where each failed before a byte left", () => {
    const several = (second: string) =>
      new TypeError("fetch failed", {
        cause: Object.assign(
          new AggregateError([
            wrapped("ECONNREFUSED", { syscall: "connect" }),
            wrapped("ENETUNREACH", { syscall: second })
          ]),
          { code: "ECONNREFUSED" }
        )
      })
    expect(Failure.of(several("connect"), "unknown").unsent).toBe(true)
    expect(Failure.of(several("read"), "unknown").unsent).toBe(false)
  })
})

describe("an error", () => {
  const reason = (code: string) => Failure.of(wrapped(code), "sent").reason

  it("is found under whatever wraps it, with its code and its step", () => {
    const error = new TypeError("fetch failed", { cause: { reason: wrapped("ECONNRESET", { syscall: "read" }) } })
    expect(Failure.of(error, "unknown")).toEqual({
      reason: "reset",
      unsent: false,
      code: "ECONNRESET",
      syscall: "read"
    })
    expect(Failure.evidenceOf(Failure.of(error, "unknown"))).toEqual({
      _tag: "TransportFailure",
      reason: "reset",
      detail: { summary: "ECONNRESET on read", output: [] },
      code: "ECONNRESET"
    })
  })

  it("has the reason of its code", () => {
    expect(["ECONNREFUSED", "EHOSTUNREACH", "ENETDOWN", "EACCES"].map(reason)).toEqual(Array(4).fill("refused"))
    expect(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "ECONNABORTED"].map(reason)).toEqual(Array(4).fill("reset"))
    expect(["ENOTFOUND", "EAI_AGAIN"].map(reason)).toEqual(["dns", "dns"])
    expect([...certificateCodes, "EPROTO", "ERR_SSL_BAD_RECORD_TYPE"].map(reason)).toEqual(Array(8).fill("tls"))
    expect(["ETIMEDOUT", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT"].map(reason)).toEqual(
      Array(3).fill("timeout")
    )
    expect(["HPE_INVALID_HEADER_TOKEN"].map(reason)).toEqual(["protocol"])
    expect(["UND_ERR_HEADERS_OVERFLOW"].map(reason)).toEqual(["overflow"])
    const parser = Object.assign(new Error("what came is not HTTP"), { name: "HTTPParserError" })
    expect(Failure.of(parser, "sent").reason).toBe("protocol")
  })

  it("is a reason of the closed set, whatever was thrown, and repeats no text", () => {
    const circular: { cause?: unknown } = {}
    circular.cause = circular
    for (const thrown of [undefined, null, "text", 7, {}, circular, { code: 7 }, new Error("x"), { errors: [null] }])
      expect(Failure.of(thrown, "unknown")).toMatchObject({ reason: "unknown", unsent: false, code: undefined })
    for (const code of ["ECONNREFUSED", "toString", "__proto__", "EWEIRD"])
      expect(FailureReason.all).toContain(Failure.of({ code }, "sent").reason)
    expect(Failure.of({ code: "Bearer secret" }, "sent").code).toBeUndefined()
  })
})

describe("Retry-After", () => {
  const now = Date.UTC(2030, 0, 1)
  const seconds = (value: string | undefined) => {
    const duration = Failure.retryAfter(value, now)
    return duration === undefined ? undefined : Duration.toSeconds(duration)
  }

  it("is a number of seconds or a date, and never negative", () => {
    expect(seconds("120")).toBe(120)
    expect(seconds(" 0 ")).toBe(0)
    expect(seconds(new Date(now + 90_000).toUTCString())).toBe(90)
    expect(seconds(new Date(now - 90_000).toUTCString())).toBe(0)
    // the two obsolete formats, which are in UTC too, wherever this machine is
    expect(seconds("Tuesday, 01-Jan-30 00:01:30 GMT")).toBe(90)
    expect(seconds("Tue Jan  1 00:01:30 2030")).toBe(90)
    expect(seconds("9".repeat(400))).toBe(Infinity)
  })

  it("is nothing where it is neither", () => {
    for (const value of [undefined, "", "soon", "-5", "1.5", "1e3", "2030-01-01"])
      expect(seconds(value)).toBeUndefined()
  })
})

/** Reads a stream that comes in these pieces. */
const read = (
  pieces: Iterable<Uint8Array>,
  bounds: Partial<ConstructorParameters<typeof EventStreamReader>[0]> = {}
) => {
  const events: Array<{
    readonly id: string | undefined
    readonly type: string | undefined
    readonly data: string | undefined
  }> = []
  const retries: Array<number> = []
  const reader = new EventStreamReader(
    { messageBytes: 1000, eventIdBytes: 20, emptyDataBytes: 100, ...bounds },
    {
      onEvent: ({ data, id, type }) => void events.push({ id, type, data: data?.toString("utf8") }),
      onRetry: (retry) => void retries.push(retry)
    }
  )
  for (const piece of pieces) reader.push(piece)
  return { events, retries, exceeded: reader.exceeded }
}
const bytes = (text: string) => Buffer.from(text, "utf8")

describe("an event stream", () => {
  const events = [
    { id: "a_1", type: undefined, data: "" },
    { id: "a_2", type: "message", data: '{"jsonrpc":"2.0","method":"x"}' },
    { id: undefined, type: undefined, data: "several\nlines\n" },
    { id: "3", type: undefined, data: " leading space, : colons, \u{1f980}" },
    { id: "4", type: undefined, data: undefined },
    { id: undefined, type: "other", data: "x" }
  ]
  const written =
    '\u{feff}: a comment\nid: a_1\ndata: \n\nevent: message\nid: a_2\ndata: {"jsonrpc":"2.0","method":"x"}\n\n' +
    "data: several\ndata:lines\ndata\n\nid:3\ndata:  leading space, : colons, \u{1f980}\nunknown: field\n\nid: 4\nretry: 250\n\n" +
    "retry: soon\nid: with\0null\nevent:other\ndata:x\n\n"

  it("comes whole, wherever it was cut, with every kind of line end", () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const whole = bytes(written.replaceAll("\n", end))
      for (let cut = 0; cut <= whole.length; cut++)
        expect(read([whole.subarray(0, cut), whole.subarray(cut)])).toEqual({
          events,
          retries: [250],
          exceeded: undefined
        })
      const single = Array.from(whole, (byte) => Uint8Array.of(byte))
      expect(read(single)).toEqual({ events, retries: [250], exceeded: undefined })
    }
  })

  it("is given up where a line, an event, an id, or data without content exceeds its bound", () => {
    const chunk = bytes("x".repeat(300))
    expect(read([bytes("data: "), chunk, chunk, chunk, chunk]).exceeded).toContain("line")
    expect(read(Array(400).fill(bytes("data: 123\n"))).exceeded).toContain("data of an event")
    expect(read([bytes(`id: ${"i".repeat(21)}\n`)]).exceeded).toContain("id")
    expect(read([bytes(`event: ${"i".repeat(21)}\n`)]).exceeded).toContain("type")
    expect(read([bytes("data:\n".repeat(17))]).exceeded).toContain("without content")
    expect(read([bytes("data:\n".repeat(16)), bytes("\n")]).events).toMatchObject([{ data: "\n".repeat(15) }])
    // what comes after that is not read
    expect(read([bytes(`id: ${"i".repeat(21)}\n`), bytes("data: x\n\n")]).events).toEqual([])
  })

  it("forgets the bounds of one event with its end", () => {
    const one = bytes(`id: ${"i".repeat(20)}\n${"data:\n".repeat(10)}data: ${"x".repeat(900)}\n\n`)
    expect(read(Array(20).fill(one))).toMatchObject({ events: { length: 20 }, exceeded: undefined })
  })
})

describe("bytes in pieces", () => {
  it("cost what the bytes cost, however small the pieces are", () => {
    // of this thread: what others on the machine take meanwhile is not its cost
    const worked = () => {
      const { system, user } = process.threadCpuUsage()
      return (system + user) / 1000
    }
    const time = (count: number) => {
      const piece = Uint8Array.of(7)
      const began = worked()
      const all = new Bytes()
      for (let i = 0; i < count; i++) all.append(piece)
      expect(all.take().length).toBe(count)
      return worked() - began
    }
    time(100_000)
    const small = Math.max(1, time(100_000))
    expect(time(1_000_000) / small).toBeLessThan(40)
  })
})

describe("events that came before", () => {
  const event = (id: string, data: string): ServerSentEvent => ({ id, type: undefined, data: bytes(data) })

  it("are recognized by id and content, as long as they are among the last", () => {
    const events = new SeenEvents(3)
    expect(events.seen(event("1", "a"))).toBe(false)
    expect(events.seen(event("1", "a"))).toBe(true)
    expect(events.seen(event("1", "b"))).toBe(false)
    for (const id of ["2", "3", "4"]) expect(events.seen(event(id, "a"))).toBe(false)
    expect(events.seen(event("1", "b"))).toBe(false)
    expect(events.seen({ id: undefined, type: undefined, data: undefined })).toBe(false)
  })
})

describe("slots", () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  const waiters = (count: number, told: Array<string>) =>
    Array.from({ length: count }, (_, index): Waiter => ({
      hasSlot: false,
      begin: () => void told.push(`${index + 1}`),
      dismissed: () => void told.push(`${index + 1} dismissed`)
    }))

  it("are given in the order in which they were asked for, and each given back once", async () => {
    const slots = new Slots(2)
    const told: Array<string> = []
    const all = waiters(5, told)
    const leave = (number: number) => {
      const waiter = all[number - 1]
      if (waiter !== undefined) slots.leave(waiter)
    }
    for (const waiter of all) slots.take(waiter)
    expect(told).toEqual(["1", "2"])
    leave(4)
    leave(1)
    leave(1)
    await turn()
    expect(told).toEqual(["1", "2", "3"])
    leave(2)
    await turn()
    expect(told).toEqual(["1", "2", "3", "5"])
  })

  it("are waited for by nobody who is dismissed", async () => {
    const slots = new Slots(1)
    const told: Array<string> = []
    const all = waiters(3, told)
    for (const waiter of all) slots.take(waiter)
    slots.dismiss()
    for (const waiter of all) slots.leave(waiter)
    await turn()
    expect(told).toEqual(["1", "2 dismissed", "3 dismissed"])
  })

  it("are taken by nobody who gives up in the same turn, however many they are", async () => {
    const slots = new Slots(2)
    const told: Array<string> = []
    const all = waiters(100_000, told)
    for (const waiter of all) slots.take(waiter)
    for (const waiter of all) slots.leave(waiter)
    await turn()
    expect(told).toEqual(["1", "2"])
  })
})

describe("an exchange", () => {
  it("that is ended by whoever hears of the response leaves nothing of what was to read its body", () => {
    const heard: Array<string> = []
    const exchange: Exchange = new Exchange(
      {
        send: (_, receiver) => {
          queueMicrotask(() => receiver.onHead({ status: 200, header: () => undefined }))
          return { abort: () => heard.push("aborted"), pause: () => {}, resume: () => {} }
        },
        close: () => {}
      },
      { method: "DELETE", url: new URL("http://127.0.0.1/mcp"), headers: {}, repeatable: true },
      {
        onHead: () => {
          exchange.abort()
          return { onData: () => {}, onEnd: () => {}, onFailure: () => {}, onOver: () => heard.push("over") }
        },
        onFailure: () => heard.push("failed"),
        onOver: () => heard.push("free")
      },
      { heard: () => {}, ended: () => {} }
    )
    exchange.send()
    return Promise.resolve().then(() => expect(heard).toEqual(["aborted", "free", "over"]))
  })
})

describe("a redirect", () => {
  const start = new URL("http://host/mcp")
  const to = (status: number, location: string | undefined, method: "GET" | "POST" = "POST", from = start) =>
    Redirect.target({ method, url: from, headers: {}, repeatable: false }, { status, header: () => location }, from)
      ?.href

  it("is followed where the request stays what it is, within the origin only", () => {
    for (const status of [307, 308]) {
      expect(to(status, "/other?x=1#fragment")).toBe("http://host/other?x=1")
      for (const location of [
        "http://elsewhere/mcp",
        "http://host:81/mcp",
        "http://user@host/mcp",
        "ftp://host/",
        "http://",
        undefined
      ])
        expect(to(status, location)).toBeUndefined()
      expect(to(status, "https://host/mcp")).toBe("https://host/mcp")
      expect(to(status, "https://host/mcp", "POST", new URL("http://host:80/mcp"))).toBe("https://host/mcp")
      expect(to(status, "http://host/mcp", "POST", new URL("https://host/mcp"))).toBeUndefined()
    }
    for (const status of [301, 302, 303]) {
      expect(to(status, "/other")).toBeUndefined()
      expect(to(status, "/other", "GET")).toBe("http://host/other")
    }
    for (const status of [200, 300, 304, 305, 404]) expect(to(status, "/other", "GET")).toBeUndefined()
  })
})

describe("a received message", () => {
  const kind = (message: object) => {
    const read = Message.of({ jsonrpc: "2.0", ...message })
    return read === undefined ? "invalid" : kindFor(read, 7)
  }

  it("is told by its id and its form", () => {
    expect(kind({ id: 7, result: {} })).toBe("answer")
    expect(kind({ id: "7", result: {} })).toBe("answer")
    expect(kind({ id: 7, error: { code: -1, message: "no" } })).toBe("answer")
    expect(kind({ id: 7, result: "text" })).toBe("invalid")
    expect(kind({ id: null, error: { code: -32700, message: "no" } })).toBe("invalid")
    expect(kind({ error: { code: -32700, message: "no" } })).toBe("nobody")
    expect(kind({ id: 8, result: {} })).toBe("alien")
    expect(kind({ method: "notifications/progress", params: { progressToken: 7 } })).toBe("progress")
    expect(kind({ method: "notifications/progress", params: { progressToken: 8 } })).toBe("other")
    expect(kind({ id: 7, method: "ping" })).toBe("other")
  })
})

describe("the standing stream's next step", () => {
  it("is at once after an honest life, for ever", () => {
    expect(delays([ended(5000), ended(5000), ended(5000), ended(5000)])).toEqual([0, 0, 0, 0])
  })

  it("slows down where every stream ends in haste, and forgives the first", () => {
    expect(delays([ended(10), ended(10), ended(10), ended(10)])).toEqual([0, 1000, 2000, 4000])
    expect(delays([ended(10, 1), ended(10, 1), ended(10, 1)])).toEqual([0, 250, 250])
    expect(delays([ended(10), ended(10), ended(40_000), ended(10), ended(10)])).toEqual([0, 1000, 0, 0, 1000])
  })

  it("backs off to 30 s where opening fails, and starts afresh once it has opened", () => {
    const outage = Array.from({ length: 8 }, () => failed)
    expect(delays(outage)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    expect(delays([...outage, ended(5000), failed]).slice(-2)).toEqual([0, 1000])
  })

  it("is to leave it be where there is no such stream", () => {
    expect(Reopening.step(Reopening.initial, refused(405), 0).delay).toBeUndefined()
    expect(Reopening.step(Reopening.initial, refused(404, false), 0).delay).toBeUndefined()
    expect(Reopening.step(Reopening.initial, refused(404), 0).delay).toBeDefined()
    // where it was open before, only the status that says so
    const opened = { ...Reopening.initial, opened: true }
    for (const status of [400, 404, 501]) expect(Reopening.step(opened, refused(status, false), 0).delay).toBeDefined()
    expect(Reopening.step(opened, refused(405, false), 0).delay).toBeUndefined()
  })

  it("reports a doubtful refusal once an outage", () => {
    for (const [status, reported] of [
      [404, true],
      [400, true],
      [401, true],
      [403, false],
      [409, false],
      [429, false]
    ] as const) {
      const first = Reopening.step({ ...Reopening.initial, opened: true }, refused(status), 0)
      expect(first.observe !== undefined).toBe(reported)
      expect(Reopening.step(first.memory, refused(status), 0).observe).toBeUndefined()
    }
    expect(Reopening.step(Reopening.initial, failed, 0).observe).toBeUndefined()
  })

  it("never waits less than the server asks, and never more than half a minute otherwise", () => {
    const outcomes = [
      failed,
      ended(10),
      ended(10, 1),
      ended(4000),
      ended(60_000),
      refused(401),
      refused(409),
      refused(503)
    ]
    for (const random of [0, 0.5, 0.999]) {
      // Every pair of outcomes, many times over.
      for (const first of outcomes) {
        for (const second of outcomes) {
          let memory = Reopening.initial
          for (let round = 0; round < 20; round++) {
            for (const outcome of [first, second]) {
              const next = Reopening.step(memory, outcome, random)
              expect(next.delay ?? 0).toBeLessThanOrEqual(30_000)
              expect(next.delay ?? 0).toBeGreaterThanOrEqual(0)
              memory = next.memory
            }
          }
          expect(Reopening.step(memory, ended(10_000, 0, 60_000), random).delay).toBe(60_000)
        }
      }
    }
  })
})
