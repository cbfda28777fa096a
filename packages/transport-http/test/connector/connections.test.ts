/** How a session's requests get to the server: TLS, proxies, dispatchers, content codings, and what is told of what fails. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Certificate } from "@vmcp-keepalive/testkit"
import { Effect, Exit } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import type { AddressInfo } from "node:net"
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib"
import { Agent, MockAgent } from "undici"
import { HttpConnector } from "../../src/index.ts"
import { initializeResult, makeHost, open, run, serve } from "./support.ts"

/** A server that listens on loopback until the scope closes. */
const listening = <S extends Net.Server>(server: S) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: S; readonly port: number }>((resume) => {
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({ server, port: (server.address() as AddressInfo).port }))
      )
    }),
    ({ server: made }) =>
      Effect.sync(() => {
        made.close()
        if ("closeAllConnections" in made && typeof made.closeAllConnections === "function") made.closeAllConnections()
      })
  )

/** A minimal MCP server over HTTP. */
const minimal = serve((request, body, response) => {
  if (request.method !== "POST") return void response.writeHead(405).end()
  const answer = answerOf(body)
  if (answer === undefined) return void response.writeHead(202).end()
  response.writeHead(200, { "content-type": "application/json" }).end(answer)
})

/** What a minimal MCP server answers to a POST. */
const answerOf = (body: string) => {
  const { id, method } = JSON.parse(body)
  if (method === "initialize") return initializeResult(id)
  return id === undefined ? undefined : JSON.stringify({ jsonrpc: "2.0", id, result: { content: [] } })
}

const answering = (request: Http.IncomingMessage, response: Http.ServerResponse) => {
  if (request.method !== "POST") return void response.writeHead(405).end()
  const parts: Array<Buffer> = []
  request.on("data", (part: Buffer) => parts.push(part))
  request.on("end", () => {
    const answer = answerOf(Buffer.concat(parts).toString())
    if (answer === undefined) return response.writeHead(202).end()
    return response.writeHead(200, { "content-type": "application/json" }).end(answer)
  })
}

const failureOf = (options: HttpConnector.Options) =>
  Effect.flip(Effect.scoped(HttpConnector.make(options).open(makeHost())))

const isWell = (options: HttpConnector.Options) =>
  Effect.gen(function* () {
    const { session } = yield* open(HttpConnector.make(options))
    const { result } = yield* run(session, (client) => client.callTool({ name: "x" }))
    return Exit.isSuccess(result)
  })

describe("TLS", () => {
  it.live("trusts the authority that is given, shows the client's certificate, and says what it does not trust", () =>
    Effect.gen(function* () {
      const own = yield* Certificate.make({ addresses: [] })
      const seen: Array<string | undefined> = []
      const { port } = yield* listening(
        Https.createServer(
          { ...own, ca: own.cert, requestCert: true, rejectUnauthorized: true },
          (request, response) => {
            const { socket } = request
            seen.push("getPeerCertificate" in socket ? "shown" : undefined)
            answering(request, response)
          }
        )
      )
      const url = `https://localhost:${port}/mcp`
      expect(yield* isWell({ url, tls: { ca: own.cert, cert: own.cert, key: own.key } })).toBe(true)
      expect(seen.length).toBeGreaterThan(1)
      expect(yield* failureOf({ url })).toMatchObject({
        reason: "tls",
        code: "DEPTH_ZERO_SELF_SIGNED_CERT",
        detail: { summary: "DEPTH_ZERO_SELF_SIGNED_CERT" }
      })
      // without a certificate of the client's the server ends the connection
      expect(yield* failureOf({ url, tls: { ca: own.cert } })).toMatchObject({ _tag: "TransportFailure" })
      const byAddress = { url: `https://127.0.0.1:${port}/mcp`, tls: { ca: own.cert, cert: own.cert, key: own.key } }
      expect(yield* failureOf(byAddress)).toMatchObject({ reason: "tls", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
      expect(yield* isWell({ ...byAddress, tls: { ...byAddress.tls, servername: "localhost" } })).toBe(true)
      expect(yield* isWell({ ...byAddress, tls: { ...byAddress.tls, rejectUnauthorized: false } })).toBe(true)
    }).pipe(Effect.scoped)
  )
})

/** A proxy that tunnels (CONNECT), or hands a request on that names its whole URL, and remembers for whom. */
const tunnel = Effect.gen(function* () {
  const asked: Array<string> = []
  const server = Http.createServer((request, response) => {
    const { headers, method } = request
    const url = new URL(request.url ?? "")
    asked.push(url.host)
    const onward = Http.request(url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  const sockets = new Set<Net.Socket>()
  server.on("connect", (request, socket, head) => {
    asked.push(request.url ?? "")
    const [host = "", port = ""] = (request.url ?? "").split(":")
    const onward = Net.connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n")
      onward.write(head)
      onward.pipe(socket).pipe(onward)
    })
    for (const each of [socket as Net.Socket, onward]) {
      sockets.add(each)
      each.on("error", () => each.destroy())
      each.on("close", () => sockets.delete(each))
    }
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((each) => each.destroy())))
  const { port } = yield* listening(server)
  return { asked, sockets, url: `http://127.0.0.1:${port}` }
})

describe("a proxy", () => {
  it.live("is gone through where it is named, and its connections end with the session", () =>
    Effect.gen(function* () {
      const own = yield* Certificate.make({ addresses: [] })
      const { port } = yield* listening(Https.createServer(own, answering))
      const proxy = yield* tunnel
      const url = `https://localhost:${port}/mcp`
      const { close, session } = yield* open(HttpConnector.make({ url, proxy: proxy.url, tls: { ca: own.cert } }))
      const { result } = yield* run(session, (client) => client.callTool({ name: "x" }))
      expect(Exit.isSuccess(result)).toBe(true)
      expect(new Set(proxy.asked)).toEqual(new Set([`localhost:${port}`]))
      yield* close
      while (proxy.sockets.size > 0) yield* Effect.sleep("5 millis")
    }).pipe(Effect.scoped)
  )

  it.live(
    "is read from the environment where that is asked for, also as Node is told to, and NO_PROXY spares a host",
    () =>
      Effect.gen(function* () {
        const { url } = yield* minimal
        const proxy = yield* tunnel
        const setting = (variables: Record<string, string>) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
              Object.assign(process.env, variables)
              return before
            }),
            (before) =>
              Effect.sync(() =>
                before.forEach(([name, value]) => {
                  if (value === undefined) delete process.env[name]
                  else process.env[name] = value
                })
              )
          )
        const count = (options: HttpConnector.Options, variables: Record<string, string>) =>
          Effect.gen(function* () {
            const before = proxy.asked.length
            yield* setting(variables)
            expect(yield* isWell(options)).toBe(true)
            return proxy.asked.length - before
          }).pipe(Effect.scoped)
        const environment = { HTTP_PROXY: proxy.url, http_proxy: proxy.url, NO_PROXY: "", no_proxy: "" }
        expect(yield* count({ url, proxy: "environment" }, environment)).toBeGreaterThan(0)
        expect(yield* count({ url }, { ...environment, NODE_USE_ENV_PROXY: "1" })).toBeGreaterThan(0)
        expect(yield* count({ url }, environment)).toBe(0)
        expect(yield* count({ url, proxy: "none" }, { ...environment, NODE_USE_ENV_PROXY: "1" })).toBe(0)
        const spared = { ...environment, NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" }
        expect(yield* count({ url, proxy: "environment" }, spared)).toBe(0)
      }).pipe(Effect.scoped)
  )
})

describe("a dispatcher of the user's", () => {
  it.live("sends every request, also one that is given in requestInit", () =>
    Effect.gen(function* () {
      const server = yield* minimal
      for (const option of ["dispatcher", "requestInit"] as const) {
        const agent = new Agent()
        const sent: Array<string> = []
        const dispatcher = agent.compose((dispatch) => (request, handler) => {
          sent.push(request.method)
          return dispatch(request, handler)
        })
        expect(
          yield* isWell({
            url: server.url,
            ...(option === "dispatcher" ? { dispatcher } : { requestInit: { dispatcher } })
          })
        ).toBe(true)
        expect(sent.filter((method) => method === "POST").length).toBeGreaterThanOrEqual(3)
        yield* Effect.promise(() => agent.destroy())
      }
    }).pipe(Effect.scoped)
  )

  it.live("may answer by itself", () =>
    Effect.gen(function* () {
      const mock = new MockAgent()
      mock.disableNetConnect()
      mock
        .get("http://nowhere.invalid")
        .intercept({ path: "/mcp", method: "POST" })
        .reply(({ body }) => {
          const answer = answerOf(String(body))
          return answer === undefined
            ? { statusCode: 202 }
            : { statusCode: 200, data: answer, responseOptions: { headers: { "content-type": "application/json" } } }
        })
        .persist()
      expect(yield* isWell({ url: "http://nowhere.invalid/mcp", dispatcher: mock })).toBe(true)
      yield* Effect.promise(() => mock.close())
    }).pipe(Effect.scoped)
  )

  it("of undici 6, which speaks of its handlers in other words, is understood", () => {
    /** The words of version 6: `onConnect`, `onHeaders` with raw headers, `onData`, `onComplete`, `onError`. */
    const old = {
      dispatch: (
        options: { readonly body?: string },
        handler: Record<string, (...args: ReadonlyArray<unknown>) => unknown>
      ) => {
        queueMicrotask(() => {
          handler["onConnect"]?.(() => {})
          const answer = options.body === undefined ? undefined : answerOf(options.body)
          const type = [Buffer.from("Content-Type"), Buffer.from("application/json")]
          const status = options.body === undefined ? 405 : answer === undefined ? 202 : 200
          handler["onHeaders"]?.(status, type, () => {}, "")
          if (answer !== undefined) handler["onData"]?.(Buffer.from(answer))
          handler["onComplete"]?.([])
        })
        return true
      }
    }
    return Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          expect(yield* isWell({ url: "http://nowhere.invalid/mcp", dispatcher: old })).toBe(true)
        })
      )
    )
  })

  it.live("that answers within its call is followed where it redirects", () =>
    Effect.gen(function* () {
      const paths: Array<string> = []
      const atOnce = {
        dispatch: (
          options: { readonly path: string; readonly body?: string },
          handler: Record<string, (...args: ReadonlyArray<unknown>) => void>
        ) => {
          paths.push(options.path)
          const controller = { abort: () => {}, pause: () => {}, resume: () => {} }
          const answer = options.body === undefined ? undefined : answerOf(options.body)
          const isMoved = answer !== undefined && options.path === "/mcp"
          const status = isMoved ? 307 : answer !== undefined ? 200 : options.body === undefined ? 405 : 202
          const headers = isMoved ? { location: "/moved" } : { "content-type": "application/json" }
          handler["onRequestStart"]?.(controller)
          handler["onResponseStart"]?.(controller, status, headers)
          if (answer !== undefined) handler["onResponseData"]?.(controller, Buffer.from(answer))
          handler["onResponseEnd"]?.(controller, {})
          return true
        }
      }
      expect(yield* isWell({ url: "http://nowhere.invalid/mcp", dispatcher: atOnce })).toBe(true)
      expect(paths).toContain("/moved")
    }).pipe(Effect.scoped)
  )

  it("excludes what it would decide itself, and so does a fetch", () => {
    const paths = (options: Partial<HttpConnector.Options>) =>
      Effect.runSync(HttpConnector.make({ url: "http://host/mcp", ...options }).issues).map(({ path }) =>
        path.join(".")
      )
    expect(paths({ dispatcher: new Agent(), tls: {}, proxy: "none" })).toEqual(["connector.tls", "connector.proxy"])
    expect(paths({ fetch: globalThis.fetch, tls: {}, proxy: "none" })).toEqual(["connector.tls", "connector.proxy"])
    expect(paths({ proxy: "socks5://secret@host" })).toEqual(["connector.proxy"])
    expect(paths({ limits: { connections: 7, messageBytes: 1.5, answerTimeout: "1 hour" } })).toEqual([
      "connector.limits.connections",
      "connector.limits.messageBytes",
      "connector.limits.answerTimeout"
    ])
    expect(paths({ proxy: "environment", tls: {}, limits: { connections: 8, answerTimeout: "1 second" } })).toEqual([])
  })
})

describe("content codings", () => {
  for (const [coding, encode] of [
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync]
  ] as const) {
    it.live(`of JSON and of event streams are undone: ${coding}`, () =>
      Effect.gen(function* () {
        for (const type of ["application/json", "text/event-stream"]) {
          const server = yield* serve((request, body, response) => {
            if (request.method !== "POST") return void response.writeHead(405).end()
            const answer = answerOf(body)
            if (answer === undefined) return void response.writeHead(202).end()
            const written = type === "application/json" ? answer : `data: ${answer}\n\n`
            response.writeHead(200, { "content-type": type, "content-encoding": coding }).end(encode(written))
          })
          expect(yield* isWell({ url: server.url })).toBe(true)
        }
      }).pipe(Effect.scoped)
    )
  }

  it.live.each(["destroy", "end"] as const)(
    "of an answer that has come whole are undone, however its connection ends then: %s",
    (ending) =>
      Effect.gen(function* () {
        const text = "x".repeat(200_000)
        const server = yield* serve((request, body, response) => {
          if (request.method !== "POST") return void response.writeHead(405).end()
          const { id, method } = JSON.parse(body)
          if (id === undefined) return void response.writeHead(202).end()
          response.writeHead(200, { "content-type": "text/event-stream", "content-encoding": "gzip" })
          if (method === "initialize") return void response.end(gzipSync(`data: ${answerOf(body)}\n\n`))
          const answer = { jsonrpc: "2.0", id, result: { content: [{ type: "text", text }] } }
          // without the last chunk of the body
          response.write(gzipSync(`data: ${JSON.stringify(answer)}\n\n`), () => response.socket?.[ending]())
        })
        const { session } = yield* open(HttpConnector.make({ url: server.url }))
        for (let nth = 0; nth < 10; nth++) {
          const { result } = yield* run(session, (client) => client.callTool({ name: "x" }))
          expect(Exit.isSuccess(result)).toBe(true)
        }
      }).pipe(Effect.scoped)
  )
})

describe("what was seen of a failure", () => {
  it.live("is told with errno, code and status, and is protocol where what answers does not speak HTTP", () =>
    Effect.gen(function* () {
      const gone = yield* Effect.scoped(serve(() => {}))
      expect(yield* failureOf({ url: gone.url })).toMatchObject({
        reason: "refused",
        code: "ECONNREFUSED",
        detail: { summary: "ECONNREFUSED on connect" }
      })
      const speaking = yield* listening(
        Net.createServer((socket) => void socket.end("220 mail ready\r\n").on("error", () => {}))
      )
      expect(yield* failureOf({ url: `http://127.0.0.1:${speaking.port}/mcp` })).toMatchObject({ reason: "protocol" })
      const resetting = yield* listening(
        Net.createServer((socket) => void socket.on("data", () => socket.resetAndDestroy()))
      )
      expect(yield* failureOf({ url: `http://127.0.0.1:${resetting.port}/mcp` })).toMatchObject({
        reason: "reset",
        code: expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET/)
      })
    }).pipe(Effect.scoped)
  )
})
