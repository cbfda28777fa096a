/** The pieces that need no server. */
import { FailureReason } from "@vmcp-keepalive/core"
import { describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import * as Failure from "../../src/internal/failure.ts"
import * as Message from "../../src/internal/message.ts"
import * as Sse from "../../src/internal/sse.ts"
import * as Standing from "../../src/internal/standingStream.ts"

/** What Node's fetch throws. */
const wrapped = (code: string, more: object = {}) =>
  new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code, ...more }) })

/** Outcomes of a standing stream's connection, and the delays that follow them. */
const ended = (lived: number, events = 0, retry?: number): Standing.Outcome => ({
  _tag: "Ended",
  lived,
  events,
  retry
})
const failed: Standing.Outcome = { _tag: "Failed", evidence: { _tag: "TransportFailure", reason: "refused" } }
const refused = (status: number, withSession = true): Standing.Outcome => ({
  _tag: "Refused",
  evidence: { _tag: "Refused", status, withSession }
})
const delays = (outcomes: ReadonlyArray<Standing.Outcome>) => {
  let memory = Standing.initial
  return outcomes.map((outcome) => {
    const next = Standing.step(memory, outcome, 1)
    memory = next.memory
    return next.delay
  })
}

/** What a message is to request 7. */
const kind = (message: unknown) => Message.kindFor(message, 7)

describe("an error of fetch", () => {
  it("is found under whatever wraps it", () => {
    expect(Failure.ofFetch(wrapped("ECONNREFUSED"))).toEqual({ reason: "refused", unsent: true })
    expect(Failure.ofFetch(wrapped("EHOSTUNREACH"))).toEqual({ reason: "refused", unsent: true })
    expect(Failure.ofFetch(wrapped("ECONNRESET"))).toEqual({ reason: "reset", unsent: false })
    expect(Failure.ofFetch(wrapped("ECONNRESET", { syscall: "connect" }))).toEqual({ reason: "reset", unsent: true })
    expect(Failure.ofFetch(wrapped("UND_ERR_SOCKET"))).toEqual({ reason: "reset", unsent: false })
    expect(Failure.ofFetch(wrapped("EAI_AGAIN"))).toEqual({ reason: "dns", unsent: true })
    expect(Failure.ofFetch(wrapped("CERT_HAS_EXPIRED"))).toEqual({ reason: "tls", unsent: true })
    expect(Failure.ofFetch(wrapped("DEPTH_ZERO_SELF_SIGNED_CERT"))).toEqual({ reason: "tls", unsent: true })
    expect(Failure.ofFetch(wrapped("ERR_TLS_CERT_ALTNAME_INVALID"))).toEqual({ reason: "tls", unsent: true })
    expect(Failure.ofFetch(wrapped("UND_ERR_CONNECT_TIMEOUT"))).toEqual({ reason: "timeout", unsent: true })
    expect(Failure.ofFetch(wrapped("UND_ERR_HEADERS_TIMEOUT"))).toEqual({ reason: "timeout", unsent: false })
    expect(Failure.ofFetch(wrapped("HPE_INVALID_HEADER_TOKEN"))).toEqual({ reason: "protocol", unsent: false })
    const several = new AggregateError([wrapped("ECONNREFUSED"), wrapped("ENETUNREACH")])
    expect(Failure.ofFetch(new TypeError("fetch failed", { cause: several })).reason).toBe("refused")
  })

  it("is a reason of the closed set, whatever was thrown", () => {
    const circular: { cause?: unknown } = {}
    circular.cause = circular
    for (const thrown of [undefined, null, "text", 7, {}, circular, { code: 7 }, new Error("x"), { errors: [null] }])
      expect(Failure.ofFetch(thrown)).toEqual({ reason: "unknown", unsent: false })
    for (const code of ["ECONNREFUSED", "toString", "__proto__"])
      expect(FailureReason.all).toContain(Failure.ofFetch({ code }).reason)
  })
})

describe("Retry-After", () => {
  const now = Date.UTC(2030, 0, 1)
  const seconds = (value: string | null) => {
    const duration = Failure.retryAfter(value, now)
    return duration === undefined ? undefined : Duration.toSeconds(duration)
  }

  it("is a number of seconds or a date, and never negative", () => {
    expect(seconds("120")).toBe(120)
    expect(seconds(" 0 ")).toBe(0)
    expect(seconds(new Date(now + 90_000).toUTCString())).toBe(90)
    expect(seconds(new Date(now - 90_000).toUTCString())).toBe(0)
  })

  it("is nothing where it is neither", () => {
    for (const value of [null, "", "soon", "-5", "1.5", "1e3", "2030-01-01"]) expect(seconds(value)).toBeUndefined()
  })
})

describe("server-sent events", () => {
  it("come whole, wherever the text was cut, and are written as they were read", () => {
    const events: ReadonlyArray<Sse.SseEvent> = [
      { id: "a_1", data: "" },
      { id: "a_2", event: "message", data: '{"jsonrpc":"2.0","method":"x"}' },
      { data: "several\nlines\n" },
      { id: "3", data: " leading space, : colons, \u{1f980}" }
    ]
    const text = events.map(Sse.encode).join("")
    for (let cut = 0; cut <= text.length; cut++) {
      const read: Array<Sse.SseEvent> = []
      const feed = Sse.parser({ onEvent: (found) => void read.push(found), onRetry: () => {} })
      feed(text.slice(0, cut))
      feed(text.slice(cut))
      expect(read).toEqual(events.map((event) => ({ id: undefined, event: undefined, ...event })))
    }
  })

  it("that never end are given up", () => {
    const feed = Sse.parser({ onEvent: () => {}, onRetry: () => {} })
    const chunk = "x".repeat(8 * 1024 * 1024)
    expect(Array.from({ length: 9 }, () => feed(chunk)).at(-1)).toBe(false)
  })
})

describe("a received message", () => {
  it("is told by its id and its form", () => {
    expect(kind({ jsonrpc: "2.0", id: 7, result: {} })).toBe("answer")
    expect(kind({ jsonrpc: "2.0", id: 7, error: { code: -1, message: "no" } })).toBe("answer")
    expect(kind({ jsonrpc: "2.0", id: 7, result: "text" })).toBe("invalid")
    expect(kind({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "no" } })).toBe("invalid")
    expect(kind({ jsonrpc: "2.0", id: 8, result: {} })).toBe("alien")
    expect(kind({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: 7 } })).toBe("progress")
    expect(kind({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: 8 } })).toBe("other")
    expect(kind({ jsonrpc: "2.0", id: 7, method: "ping" })).toBe("other")
    expect(kind("text")).toBe("invalid")
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
    expect(Standing.step(Standing.initial, refused(405), 0).delay).toBeUndefined()
    expect(Standing.step(Standing.initial, refused(404, false), 0).delay).toBeUndefined()
    expect(Standing.step(Standing.initial, refused(404), 0).delay).toBeDefined()
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
      const first = Standing.step({ ...Standing.initial, opened: true }, refused(status), 0)
      expect(first.observe !== undefined).toBe(reported)
      expect(Standing.step(first.memory, refused(status), 0).observe).toBeUndefined()
    }
    expect(Standing.step(Standing.initial, failed, 0).observe).toBeUndefined()
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
          let memory = Standing.initial
          for (let round = 0; round < 20; round++) {
            for (const outcome of [first, second]) {
              const next = Standing.step(memory, outcome, random)
              expect(next.delay ?? 0).toBeLessThanOrEqual(30_000)
              expect(next.delay ?? 0).toBeGreaterThanOrEqual(0)
              memory = next.memory
            }
          }
          expect(Standing.step(memory, ended(10_000, 0, 60_000), random).delay).toBe(60_000)
        }
      }
    }
  })
})
