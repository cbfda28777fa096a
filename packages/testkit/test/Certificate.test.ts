import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import * as Tls from "node:tls"
import { Certificate } from "../src/index.ts"

/** What a client says of a server with this certificate that it reaches under this name, trusting what it is told to. */
const seen = (certificate: Certificate.Certificate, servername: string, trusted = certificate) =>
  Effect.promise(async () => {
    const server = Tls.createServer(certificate, (socket) => socket.on("error", () => {}).end())
    await once(server.listen(0, "127.0.0.1"), "listening")
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const socket = Tls.connect({ host: "127.0.0.1", port, servername, ca: trusted.cert })
    const [error] = await Promise.race([once(socket, "secureConnect"), once(socket, "close")]).catch(
      (error: unknown) => [error]
    )
    socket.destroy()
    server.close()
    return error instanceof Error && "code" in error ? error.code : "secure"
  })

describe("a certificate", () => {
  it.live("is good for its names and its time, and for who trusts it", () =>
    Effect.gen(function* () {
      const good = yield* Certificate.make({ names: ["localhost", "mcp.test"] })
      assert.strictEqual(yield* seen(good, "localhost"), "secure")
      assert.strictEqual(yield* seen(good, "mcp.test"), "secure")
      assert.strictEqual(yield* seen(good, "other.test"), "ERR_TLS_CERT_ALTNAME_INVALID")
      const expired = yield* Certificate.make({ notAfter: new Date(Date.now() - 1000) })
      assert.strictEqual(yield* seen(expired, "localhost"), "CERT_HAS_EXPIRED")
      const other = yield* Certificate.make()
      assert.strictEqual(yield* seen(good, "localhost", other), "DEPTH_ZERO_SELF_SIGNED_CERT")
    })
  )

  it.live("that another one has issued is good for who trusts that one, and issues none itself", () =>
    Effect.gen(function* () {
      const [authority, stranger] = yield* Effect.all([Certificate.make(), Certificate.make()])
      const issued = yield* Certificate.make({ names: ["mcp.test"], issuer: authority })
      assert.strictEqual(yield* seen(issued, "mcp.test", authority), "secure")
      assert.strictEqual(yield* seen(issued, "other.test", authority), "ERR_TLS_CERT_ALTNAME_INVALID")
      assert.notStrictEqual(yield* seen(issued, "mcp.test", stranger), "secure")
      const below = yield* Certificate.make({ names: ["mcp.test"], issuer: issued })
      assert.notStrictEqual(yield* seen({ ...below, cert: below.cert + issued.cert }, "mcp.test", authority), "secure")
    })
  )
})
