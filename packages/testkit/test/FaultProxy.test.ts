import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Fault, FaultProxy } from "../src/index.ts"
import { http, line, rpc, target } from "./target.ts"

const setup = (options: { readonly upstreamDown?: "reset" | 502 } = {}) =>
  Effect.gen(function* () {
    const backend = yield* target
    const proxy = yield* FaultProxy.make({ target: backend, ...options })
    return { backend, proxy, connect: line(proxy.port) }
  })

/** An open SSE stream through the proxy that has delivered an event. */
const stream = (proxy: FaultProxy.FaultProxy, emit: (data: string) => void) =>
  Effect.gen(function* () {
    const client = yield* line(proxy.port)
    client.send(http("GET", "/sse", "", { "mcp-session-id": "s1" }))
    yield* client.until("event-stream")
    emit("first")
    yield* client.until("data: first")
    return client
  })

const since = (start: number) => performance.now() - start

describe("without a fault", () => {
  it.live("requests reuse a connection, answers stream at once, and everything is recorded", () =>
    Effect.gen(function* () {
      const { proxy, connect, backend } = yield* setup()
      const client = yield* connect
      client.send(http("POST", "/a", rpc("ping"), { "mcp-session-id": "s1" }))
      yield* client.until('"ping"')
      client.send(http("POST", "/b", rpc("tools/call"), { "last-event-id": "7" }))
      yield* client.until('"tools/call"')
      yield* stream(proxy, backend.emit)
      const stats = yield* proxy.stats
      assert.deepStrictEqual(stats, {
        openConnections: 2,
        inFlight: 1,
        openStreams: 1,
        byMethod: { POST: 2, GET: 1 },
        byRpcMethod: { ping: 1, "tools/call": 1 }
      })
      const [first, second] = yield* proxy.requests
      assert.deepInclude(first, { method: "POST", path: "/a", rpcMethod: "ping", sessionId: "s1", forwarded: true })
      assert.deepInclude(second, { rpcMethod: "tools/call", lastEventId: "7" })
      assert.deepStrictEqual(yield* proxy.marks, [])
    })
  )

  it.live("fetch works through it", () =>
    Effect.gen(function* () {
      const { proxy } = yield* setup()
      const text = yield* Effect.promise(() =>
        fetch(`${proxy.url}/x`, { method: "POST", body: "hello" }).then((response) => response.text())
      )
      assert.strictEqual(text, "hello")
    })
  )

  it.live("a client that leaves is reported to the target", () =>
    Effect.gen(function* () {
      const { proxy, backend, connect } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const client = yield* connect
          client.send(http("GET", "/hang"))
          yield* proxy.awaitRequest(({ path }) => path === "/hang")
          yield* stream(proxy, backend.emit)
        })
      )
      assert.deepStrictEqual([yield* backend.aborted, yield* backend.aborted].toSorted(), ["/hang", "/sse"])
    })
  )

  it.live("a target that dies in the middle of an answer ends the client's connection", () =>
    Effect.gen(function* () {
      const { proxy, backend } = yield* setup()
      const client = yield* stream(proxy, backend.emit)
      yield* backend.kill
      assert.strictEqual(yield* client.ended, "fin")
      assert.notInclude(client.received(), "\r\n0\r\n")
    })
  )

  it.live("a target that is down resets the connection, or is a 502 when asked for", () =>
    Effect.gen(function* () {
      const down = yield* setup()
      yield* down.backend.kill
      const client = yield* down.connect
      client.send(http("GET", "/x"))
      assert.strictEqual(yield* client.ended, "ECONNRESET")
      const gateway = yield* setup({ upstreamDown: 502 })
      yield* gateway.backend.kill
      const other = yield* gateway.connect
      other.send(http("GET", "/x"))
      yield* other.until("HTTP/1.1 502")
    })
  )
})

describe("SilentDrop", () => {
  it.live("swallows both directions and leaves sockets open, until healed", () =>
    Effect.gen(function* () {
      const { proxy, backend, connect } = yield* setup()
      const streaming = yield* stream(proxy, backend.emit)
      const start = performance.now()
      const injected = yield* proxy.inject(Fault.SilentDrop())
      const mark = yield* injected.struck
      // at once: it has struck when it is in force
      assert.isAtLeast(mark.at, start)
      assert.isAtMost(mark.at, injected.since)
      const before = streaming.received()
      backend.emit("swallowed")
      const fresh = yield* connect
      fresh.send(http("POST", "/lost", rpc("ping")))
      const request = yield* proxy.awaitRequest(({ path }) => path === "/lost")
      assert.isFalse(request.forwarded)
      assert.isTrue(streaming.open() && fresh.open())
      assert.strictEqual((yield* proxy.stats).inFlight, 2)
      yield* proxy.heal
      assert.notStrictEqual(yield* streaming.ended, "")
      assert.notStrictEqual(yield* fresh.ended, "")
      assert.strictEqual(streaming.received(), before)
      assert.notInclude(backend.seen, "/lost")
      const healed = yield* connect
      healed.send(http("POST", "/again", "through"))
      yield* healed.until("through")
    })
  )

  it.live("does not tell the target that the client has left", () =>
    Effect.gen(function* () {
      const { proxy, backend } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* stream(proxy, backend.emit)
          yield* proxy.inject(Fault.SilentDrop())
        })
      )
      const noticed = ({ openConnections }: FaultProxy.Stats) => openConnections === 0
      const stats = yield* Effect.repeat(proxy.stats, { until: noticed, schedule: Schedule.spaced("2 millis") })
      assert.strictEqual(stats.inFlight, 1)
      yield* proxy.heal
      assert.strictEqual(yield* backend.aborted, "/sse")
    })
  )

  it.live("keeps the connections dead after healing when asked for", () =>
    Effect.gen(function* () {
      const { proxy, backend } = yield* setup()
      const client = yield* stream(proxy, backend.emit)
      yield* proxy.inject(Fault.SilentDrop({ onHeal: "keep" }))
      yield* proxy.heal
      const later = yield* stream(proxy, backend.emit)
      assert.include(later.received(), "data: first")
      assert.isTrue(client.open())
      assert.strictEqual(client.received().split("data: first").length, 2)
    })
  )
})

describe("faults of the connection", () => {
  it.live("HalfClose: FIN to the client, whose own direction stays open", () =>
    Effect.gen(function* () {
      const { proxy, backend } = yield* setup()
      const client = yield* stream(proxy, backend.emit)
      yield* proxy.inject(Fault.HalfClose())
      assert.strictEqual(yield* client.ended, "fin")
      assert.strictEqual((yield* proxy.stats).openConnections, 1)
      assert.strictEqual(yield* backend.aborted, "/sse")
    })
  )

  it.live("Reset: streams, idle connections and later requests are reset", () =>
    Effect.gen(function* () {
      const { proxy, backend, connect } = yield* setup()
      const streaming = yield* stream(proxy, backend.emit)
      const idle = yield* connect
      idle.send(http("POST", "/x", "done"))
      yield* idle.until("done")
      yield* proxy.inject(Fault.Reset())
      assert.strictEqual(yield* streaming.ended, "ECONNRESET")
      assert.strictEqual(yield* idle.ended, "ECONNRESET")
      const later = yield* connect
      later.send(http("POST", "/y", "never"))
      assert.strictEqual(yield* later.ended, "ECONNRESET")
      assert.strictEqual((yield* proxy.marks).length, 3)
    })
  )

  it.live("Refuse: connects are refused, and healing listens on the same port", () =>
    Effect.gen(function* () {
      const { proxy, backend, connect } = yield* setup()
      const client = yield* stream(proxy, backend.emit)
      yield* proxy.inject(Fault.Refuse())
      assert.strictEqual(yield* client.ended, "ECONNRESET")
      const error = yield* Effect.flip(connect)
      assert.include(error.message, "ECONNREFUSED")
      yield* proxy.heal
      const healed = yield* connect
      healed.send(http("POST", "/x", "back"))
      yield* healed.until("back")
    })
  )
})

describe("CutMidChunk", () => {
  it.live("leaves half a chunk on a stream in progress", () =>
    Effect.gen(function* () {
      const { proxy, backend } = yield* setup()
      const client = yield* stream(proxy, backend.emit)
      yield* proxy.inject(Fault.CutMidChunk())
      assert.strictEqual(yield* client.ended, "fin")
      assert.match(client.received(), /400\r\ndata: \{"jsonr$/)
      assert.strictEqual(yield* backend.aborted, "/sse")
    })
  )

  it.live("cuts an answer still to come after so many bytes", () =>
    Effect.gen(function* () {
      const { proxy, connect } = yield* setup()
      yield* proxy.inject(Fault.CutMidChunk({ after: 4, times: 1 }))
      const client = yield* connect
      client.send(http("POST", "/x", "0123456789"))
      assert.strictEqual(yield* client.ended, "fin")
      assert.match(client.received(), /content-length: 10\r\n[^]*\r\n\r\n0123$/)
      const next = yield* connect
      next.send(http("POST", "/x", "0123456789"))
      yield* next.until("0123456789")
    })
  )

  it.live("fetch sees a stream that broke", () =>
    Effect.gen(function* () {
      const { proxy } = yield* setup()
      yield* proxy.inject(Fault.CutMidChunk())
      const outcome = yield* Effect.promise(() =>
        fetch(`${proxy.url}/sse`)
          .then((response) => response.text())
          .then(
            () => "whole",
            () => "broken"
          )
      )
      assert.strictEqual(outcome, "broken")
    })
  )
})

describe("faults of time", () => {
  it.live("Delay: each direction is late, and no longer when healed", () =>
    Effect.gen(function* () {
      const { proxy, connect, backend } = yield* setup()
      const injected = yield* proxy.inject(Fault.Delay({ each: "300 millis" }))
      const client = yield* connect
      const start = performance.now()
      client.send(http("POST", "/x", "late"))
      yield* client.until("late")
      assert.isAtLeast(since(start), 595)
      const mark = yield* injected.struck
      assert.isAtMost(mark.at - start, 300)
      yield* proxy.inject(Fault.Delay({ each: "1 hour" }))
      client.send(http("POST", "/x", "held"))
      yield* proxy.struck
      yield* proxy.heal
      yield* client.until("held")
      const streaming = yield* stream(proxy, backend.emit)
      yield* proxy.inject(Fault.Delay({ each: "1 hour" }))
      backend.emit("late event")
      yield* proxy.struck
      yield* proxy.heal
      yield* streaming.until("late event")
    })
  )

  it.live("Throttle: bytes trickle at the rate", () =>
    Effect.gen(function* () {
      const { proxy, connect } = yield* setup()
      yield* proxy.inject(Fault.Throttle({ bytesPerSecond: 2000 }))
      const client = yield* connect
      const start = performance.now()
      client.send(http("POST", "/x", `${"x".repeat(1000)}end`))
      yield* client.until("xxx")
      const first = since(start)
      yield* client.until("end")
      // 1003 bytes each way.
      assert.isAtLeast(since(start), 975)
      assert.isAtLeast(since(start) - first, 150)
    })
  )

  it.live("IdleCut: cuts a silent stream and spares one that speaks", () =>
    Effect.gen(function* () {
      const { proxy, backend } = yield* setup()
      const client = yield* stream(proxy, backend.emit)
      const injected = yield* proxy.inject(Fault.IdleCut({ after: "600 millis" }))
      for (let i = 0; i < 7; i++) {
        yield* Effect.sleep("100 millis")
        backend.emit(`beat ${i}`)
        yield* client.until(`beat ${i}`)
      }
      assert.isTrue(client.open())
      const last = performance.now()
      const mark = yield* injected.struck
      assert.isAtLeast(mark.at - last, 590)
      assert.strictEqual(yield* client.ended, "fin")
      assert.strictEqual(yield* backend.aborted, "/sse")
    })
  )

  it.live("IdleCut: no answer at all is a 504", () =>
    Effect.gen(function* () {
      const { proxy, connect } = yield* setup()
      yield* proxy.inject(Fault.IdleCut({ after: "30 millis" }))
      const client = yield* connect
      client.send(http("GET", "/hang"))
      yield* client.until("HTTP/1.1 504")
    })
  )
})

describe("selection", () => {
  it.live("Answer: the next tools/call gets the status, nothing else does, and then it is over", () =>
    Effect.gen(function* () {
      const { proxy, connect, backend } = yield* setup()
      const injected = yield* proxy.inject(
        Fault.Answer({
          status: 429,
          headers: { "retry-after": "7" },
          body: "busy",
          on: { rpc: "tools/call" },
          times: 1
        })
      )
      const client = yield* connect
      client.send(http("POST", "/ping", rpc("ping")))
      yield* client.until('"ping"')
      client.send(http("POST", "/call-1", rpc("tools/call")))
      const refused = yield* client.until("busy")
      assert.match(refused, /HTTP\/1\.1 429[^]*retry-after: 7/)
      client.send(http("POST", "/call-2", rpc("tools/call")))
      yield* client.until('"tools/call"')
      yield* injected.struck
      assert.deepStrictEqual(backend.seen, ["/ping", "/call-2"])
    })
  )

  it.live("a fault on the standing GET spares the POSTs, and one on a POST the GET", () =>
    Effect.gen(function* () {
      const { proxy, backend, connect } = yield* setup()
      const streaming = yield* stream(proxy, backend.emit)
      const posting = yield* connect
      yield* proxy.inject(Fault.Reset({ on: { method: "POST", rpc: ["ping", "tools/list"] } }))
      posting.send(http("POST", "/x", rpc("ping")))
      assert.strictEqual(yield* posting.ended, "ECONNRESET")
      assert.isTrue(streaming.open())
      yield* proxy.heal
      yield* proxy.inject(Fault.CutMidChunk({ on: { method: "GET", resuming: false, session: true } }))
      yield* streaming.ended
      const again = yield* connect
      again.send(http("POST", "/x", rpc("ping")))
      yield* again.until('"ping"')
      const resuming = yield* connect
      resuming.send(http("GET", "/sse", "", { "mcp-session-id": "s1", "last-event-id": "3" }))
      yield* resuming.until("event-stream")
      backend.emit("resumed")
      yield* resuming.until("resumed")
    })
  )

  it.live("the most recent of two faults wins", () =>
    Effect.gen(function* () {
      const { proxy, connect } = yield* setup()
      yield* proxy.inject(Fault.Answer({ status: 401 }))
      yield* proxy.inject(Fault.Answer({ status: 404, on: { rpc: "ping" }, times: 1 }))
      const client = yield* connect
      client.send(http("POST", "/x", rpc("ping")))
      yield* client.until("404 Not Found")
      client.send(http("POST", "/x", rpc("ping")))
      yield* client.until("401 Unauthorized")
    })
  )
})

describe("switched off", () => {
  const faults = [
    Fault.SilentDrop(),
    Fault.HalfClose(),
    Fault.Reset(),
    Fault.CutMidChunk(),
    Fault.Delay({ each: "1 hour" }),
    Fault.Throttle({ bytesPerSecond: 1 }),
    Fault.Refuse(),
    Fault.Answer({ status: 500 }),
    Fault.IdleCut({ after: "1 millis" })
  ]
  it.live.each(faults)("$_tag does not strike any more", (fault) =>
    Effect.gen(function* () {
      const { proxy, backend, connect } = yield* setup()
      const injected = yield* proxy.inject(fault)
      yield* injected.heal
      const strikes = (yield* proxy.marks).length
      const streaming = yield* stream(proxy, backend.emit)
      const client = yield* connect
      client.send(http("POST", "/x", "x".repeat(100_000)))
      yield* client.until("x".repeat(100_000))
      backend.emit("last")
      yield* streaming.until("last")
      assert.isTrue(client.open() && streaming.open())
      assert.strictEqual((yield* proxy.marks).length, strikes)
    })
  )
})
