/** Our requests over real sockets: when one has left this process, and when it has not, and over which connection it goes. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Logger, Queue } from "effect"
import { MessageStorage, RunnerAddress, type Runners, ShardingConfig, Snowflake } from "effect/cluster"
import { TestClock } from "effect/testing"
import { connect, createServer, type Server, type Socket } from "node:net"
import type { AddressInfo } from "node:net"
import * as Connections from "../../src/internal/engine/connections.ts"
import * as Frames from "../../src/internal/engine/frames.ts"
import { Link } from "../../src/internal/engine/link.ts"
import * as Requests from "../../src/internal/engine/requests.ts"
import { Ticket } from "../../src/internal/once/ticket.ts"
import { Changes, Ensure } from "../../src/internal/protocol.ts"
import { freePort } from "../support/world.ts"
import { outgoing } from "./outgoing.ts"

const world = Effect.provide(Requests.make(Duration.seconds(5)), [
  Connections.clients({ tls: undefined }),
  Snowflake.layerGenerator,
  MessageStorage.layerNoop,
  ShardingConfig.layerDefaults
])

/** A question, and the ticket of whoever asks it. */
const asked = (runners: Runners.Runners["Service"], address: RunnerAddress.RunnerAddress) => {
  const ticket = { written: false }
  const { answers, message } = outgoing(Ensure, "Ensure", undefined, Context.empty())
  return { answers, ticket, asking: Effect.provideService(runners.send({ address, message }), Ticket, ticket) }
}

const hello = Frames.write({ _tag: "Hello", protocol: 1 })
const ofOtherVersion = Frames.write({ _tag: "Hello", protocol: 2 })

/** Each message that comes over a socket. */
const reading = (socket: Socket, received: (message: { readonly _tag?: unknown }) => void) => {
  const reader = new Frames.Reader()
  socket.on("error", () => {})
  socket.on("data", (part) => {
    reader.add(part)
    for (;;) {
      const message = reader.next(Frames.mostBytes)
      if (message === undefined) return
      received(Object(message))
    }
  })
}

/** A process that says something first, and hears all that comes. */
const listening = (
  received: (message: { readonly _tag?: unknown }, socket: Socket) => void,
  greeting: Uint8Array = hello
) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Server>((resume) => {
        const server = createServer((socket) => {
          reading(socket, (message) => received(message, socket))
          socket.write(greeting)
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => void server.close())
    ),
    (server) => RunnerAddress.RunnerAddress.make({ host: "127.0.0.1", port: (server.address() as AddressInfo).port })
  )

const answered = (message: object, value: unknown = null) =>
  Frames.write({ _tag: "Exit", requestId: Object(message).id, exit: { _tag: "Success", value } })

const long = { _tag: "Exit", text: "x".repeat(1024 * 1024) }
/** Which are answered with more than may wait. */
const questions = Array.from({ length: 40 }, (_, id) =>
  Frames.write({ _tag: "Request", id, tag: "Ping", payload: null })
)

/** Does something, and waits until the socket is closed. */
const closed = (doing: Effect.Effect<unknown>, socket: Socket) =>
  Effect.gen(function* () {
    const over = Effect.callback<void>((resume) => void socket.once("close", () => resume(Effect.void)))
    const waiting = yield* Effect.forkChild(over, { startImmediately: true })
    yield* doing
    yield* Fiber.join(waiting)
  })

describe("a request, over sockets,", () => {
  it.live("has not left where nobody could be connected to, and says that the process is unavailable", () =>
    Effect.gen(function* () {
      const address = RunnerAddress.RunnerAddress.make({ host: "127.0.0.1", port: yield* freePort })
      const { answers, asking, ticket } = asked(yield* world, address)
      const error = yield* Effect.flip(asking)
      assert.strictEqual(error._tag, "RunnerUnavailable")
      assert.isFalse(ticket.written)
      assert.deepStrictEqual(answers, [])
    })
  )

  it.live.each([
    ["speaks the messages of another version", ofOtherVersion],
    ["says something else first", Frames.write({ _tag: "Pong" })],
    ["is of something else", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["says more than a greeting has", Buffer.from([0, 1, 0, 0])]
  ] as const)("never leaves for an address that %s", ([, greeting]) =>
    Effect.gen(function* () {
      const told: Array<unknown> = []
      const address = yield* listening(({ _tag }) => told.push(_tag), greeting)
      const warnings: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void warnings.push(String(message)))])
      const runners = yield* Effect.provide(world, logger)
      for (let time = 0; time < 3; time++) {
        const { asking, ticket } = asked(runners, address)
        assert.strictEqual((yield* Effect.flip(asking))._tag, "RunnerUnavailable")
        assert.isFalse(ticket.written)
      }
      assert.notIncludeMembers(told, ["Request"])
      // once, however often it is tried
      assert.strictEqual(warnings.length, 1)
      const isOfOtherVersion = greeting === ofOtherVersion
      const who = isOfOtherVersion ? "A process of another version" : "No process of this library"
      assert.strictEqual(warnings[0], `${who} answers at 127.0.0.1:${address.port}: nothing is asked there`)
      // one of another version lives: what it keeps is not taken from it
      assert.strictEqual(Exit.isSuccess(yield* Effect.exit(runners.ping(address))), isOfOtherVersion)
    })
  )

  it.live("may have left once it was handed to the socket, and is not asked again where that ends under it", () =>
    Effect.gen(function* () {
      const told: Array<unknown> = []
      const address = yield* listening(({ _tag }, socket) => {
        told.push(_tag)
        if (_tag === "Request") socket.destroy()
      })
      const { answers, asking, ticket } = asked(yield* world, address)
      const error = yield* Effect.flip(asking)
      assert.strictEqual(error._tag, "RunnerUnavailable")
      assert.isTrue(ticket.written)
      assert.strictEqual(told.filter((tag) => tag === "Request").length, 1)
      assert.deepStrictEqual(answers, [])
    })
  )

  it.live("waits for an answer for as long as whoever asks does, and the owner is told when nobody waits", () =>
    Effect.gen(function* () {
      const told = yield* Queue.unbounded<unknown>()
      const address = yield* listening(({ _tag }) => Queue.offerUnsafe(told, _tag))
      const { asking, ticket } = asked(yield* world, address)
      const waiting = yield* Effect.forkChild(asking, { startImmediately: true })
      assert.deepStrictEqual(yield* Queue.takeN(told, 3), ["Hello", "Ping", "Request"])
      yield* Effect.sleep("500 millis")
      assert.isUndefined(waiting.pollUnsafe())
      assert.isTrue(ticket.written)
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* Queue.take(told), "Interrupt")
    })
  )

  it.effect("is waited for no longer where the other end gives no sign of life", () =>
    Effect.gen(function* () {
      const told = yield* Queue.unbounded<unknown>()
      const address = yield* listening(({ _tag }) => Queue.offerUnsafe(told, _tag))
      const { asking, ticket } = asked(yield* world, address)
      const failing = yield* Effect.forkChild(Effect.flip(asking), { startImmediately: true })
      assert.deepStrictEqual(yield* Queue.takeN(told, 3), ["Hello", "Ping", "Request"])
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(failing.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(failing))._tag, "RunnerUnavailable")
      assert.isTrue(ticket.written)
    })
  )

  it.live("goes over the connection of the one before, and over another one once that has ended", () =>
    Effect.gen(function* () {
      const sockets = new Set<Socket>()
      const address = yield* listening((message, socket) => {
        sockets.add(socket)
        if (message._tag === "Request") socket.write(answered(message))
      })
      const runners = yield* world
      yield* runners.ping(address)
      yield* runners.ping(address)
      assert.strictEqual(sockets.size, 1)
      const [first] = sockets
      assert(first !== undefined)
      yield* closed(
        Effect.sync(() => first.destroy()),
        first
      )
      // what is asked before the end has been noticed fails, and goes over a new connection then
      yield* Effect.retry(runners.ping(address), { times: 5 })
      assert.strictEqual(sockets.size, 2)
    })
  )

  it.live.each([
    ["is no JSON", Buffer.from([0, 0, 0, 1, 0x7b])],
    ["is longer than any may be", Buffer.from([0x7f, 0xff, 0xff, 0xff])],
    ["is no answer", Frames.write({ _tag: "Exit", requestId: 0 })]
  ] as const)("ends with a connection on which something comes that %s", ([, bytes]) =>
    Effect.gen(function* () {
      const address = yield* listening(({ _tag }, socket) => _tag === "Request" && socket.write(bytes))
      const warnings: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ message }) => void warnings.push(message))])
      const { asking, ticket } = asked(yield* Effect.provide(world, logger), address)
      assert.strictEqual((yield* Effect.flip(asking))._tag, "RunnerUnavailable")
      assert.isTrue(ticket.written)
      // it is a process of this library
      assert.deepStrictEqual(warnings, [])
    })
  )

  for (const [what, value] of [
    ["a part of a stream", { _tag: "Chunk", requestId: "1", id: "2", sequence: 0, values: [null] }],
    ["nothing", null]
  ] as const)
    it.live(`is answered with a defect, and waits no longer, where what should end it is ${what}`, () =>
      Effect.gen(function* () {
        const address = yield* listening((message, socket) => {
          if (message._tag === "Request") socket.write(answered(message, value))
        })
        const runners = yield* world
        const once = asked(runners, address)
        yield* once.asking
        assert.deepStrictEqual(once.answers, ["died"])
        const stream = outgoing(Changes, "Changes", undefined, Context.empty())
        yield* runners.send({ address, message: stream.message })
        assert.deepStrictEqual(stream.answers, ["died"])
      })
    )
})

// ------------------------------------------------------------------------------------------------------- the other end

/** A process that takes connections, and says the same to each message: what it hears over them, and one to it. */
const takingWith = (said?: object) =>
  Effect.gen(function* () {
    const address = { host: "127.0.0.1", port: yield* freePort }
    const received: Array<unknown> = []
    const heard = yield* Queue.unbounded<unknown>()
    const ended = yield* Queue.unbounded<void>()
    const context = yield* Layer.build(Connections.server({ address, tls: undefined }))
    yield* Context.get(context, Connections.Accepting).accept((connection) => ({
      received: (message) => {
        received.push(message)
        Queue.offerUnsafe(heard, message)
        if (said !== undefined) connection.send(said)
      },
      ended: () => Queue.offerUnsafe(ended, undefined)
    }))
    const told = yield* Queue.unbounded<unknown>()
    const socket = connect(address)
    reading(socket, ({ _tag }) => Queue.offerUnsafe(told, _tag))
    // it speaks first
    assert.strictEqual(yield* Queue.take(told), "Hello")
    return { ended: Queue.take(ended), heard, received, socket, told }
  })
const taking = takingWith()

describe("a connection that another process opens", () => {
  it.live.each([
    ["speaks the messages of another version", ofOtherVersion],
    [
      "asks before it has said which messages it speaks",
      Frames.write({ _tag: "Request", id: 0, tag: "Ping", payload: null })
    ],
    ["is something else", Buffer.from("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")],
    ["says more than a greeting has", Buffer.from([0, 1, 0, 0])]
  ] as const)("is ended where whoever is there %s", ([, bytes]) =>
    Effect.gen(function* () {
      const { ended, received, socket } = yield* taking
      yield* closed(
        Effect.sync(() => socket.write(bytes)),
        socket
      )
      yield* ended
      assert.deepStrictEqual(received, [])
    })
  )

  it.effect("is ended where whoever is there says nothing for three seconds", () =>
    Effect.gen(function* () {
      const { ended, socket } = yield* taking
      yield* TestClock.adjust("2999 millis")
      assert.isFalse(socket.closed)
      yield* closed(TestClock.adjust("1 millis"), socket)
      yield* ended
    })
  )

  it.live(
    "gives signs of life while a long message comes, few of them, though what asks for them stands behind it",
    () =>
      Effect.gen(function* () {
        const { received, socket, told } = yield* takingWith({ _tag: "Exit" })
        const message = { _tag: "Call", text: "x".repeat(1024 * 1024) }
        const bytes = Frames.write(message)
        socket.write(hello)
        socket.write(bytes.subarray(0, 64 * 1024))
        assert.strictEqual(yield* Queue.take(told), "Pong")
        socket.write(bytes.subarray(64 * 1024))
        let pongs = 1
        while ((yield* Queue.take(told)) === "Pong") pongs++
        assert.deepStrictEqual(received, [message])
        assert.isAtMost(pongs, 16)
      })
  )

  it.effect("is kept while its process reads slowly, however long, and all is answered", () =>
    Effect.gen(function* () {
      const { heard, socket, told } = yield* takingWith(long)
      socket.pause()
      socket.write(Buffer.concat([hello, ...questions]))
      yield* Queue.takeN(heard, questions.length)
      yield* TestClock.adjust("3 seconds")
      for (let minute = 0; minute < 5; minute++) yield* TestClock.adjust("1 minute")
      socket.resume()
      yield* Queue.takeN(told, questions.length)
      socket.write(Buffer.concat(questions.slice(0, 1)))
      assert.strictEqual(yield* Queue.take(told), "Exit")
    })
  )

  it.effect("is ended where no sign of life has come for a minute, and not before", () =>
    Effect.gen(function* () {
      const { ended, socket, told } = yield* taking
      const ping = Effect.gen(function* () {
        socket.write(Frames.write({ _tag: "Ping" }))
        assert.strictEqual(yield* Queue.take(told), "Pong")
      })
      socket.write(hello)
      yield* ping
      yield* TestClock.adjust("3 seconds")
      for (let minute = 0; minute < 5; minute++) {
        yield* ping
        yield* TestClock.adjust("1 minute")
      }
      assert.isFalse(socket.closed)
      yield* closed(TestClock.adjust("1 minute"), socket)
      yield* ended
    })
  )
})

describe("what is asked by a process that does not read", () => {
  /** Two ends: one that holds back, and a socket that reads nothing yet. */
  const held = (patience: number) =>
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<"held" | "goes on" | "ended">()
      const received = yield* Queue.unbounded<unknown>()
      const server = yield* Effect.acquireRelease(
        Effect.sync(() =>
          createServer((socket) => {
            socket.on("pause", () => Queue.offerUnsafe(events, "held"))
            const link: Link = new Link(socket, {
              opened: () => socket.on("resume", () => Queue.offerUnsafe(events, "goes on")),
              received: (message) => {
                Queue.offerUnsafe(received, message)
                link.send(long)
              },
              ended: () => Queue.offerUnsafe(events, "ended")
            })
            link.greet()
            link.read(patience)
          })
        ),
        (server) => Effect.sync(() => void server.close())
      )
      yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
      const socket = connect((server.address() as AddressInfo).port, "127.0.0.1")
      yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
      socket.on("error", () => {})
      socket.write(Buffer.concat([hello, ...questions]))
      assert.strictEqual(yield* Queue.take(events), "held")
      return { event: Queue.take(events), received, socket }
    })

  it.live("is not read on, until it reads", () =>
    Effect.gen(function* () {
      const { event, received, socket } = yield* held(60_000)
      yield* Queue.takeN(received, questions.length)
      socket.write(Buffer.concat(questions))
      socket.resume()
      assert.strictEqual(yield* event, "goes on")
      yield* Queue.takeN(received, questions.length)
    })
  )

  it.live("ends with its connection, where no answer leaves", () =>
    Effect.gen(function* () {
      const { event } = yield* held(100)
      assert.strictEqual(yield* event, "ended")
    })
  )

  it.live("is kept while one answer leaves slowly", () =>
    Effect.gen(function* () {
      // both ends are in this process, which may have to wait for a core
      const patience = 2000
      const { event, socket } = yield* held(patience)
      const at = performance.now()
      const reading = setInterval(() => socket.read(), 8)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(reading)))
      assert.strictEqual(yield* event, "goes on")
      assert.isAbove(performance.now() - at, patience)
    })
  )
})
