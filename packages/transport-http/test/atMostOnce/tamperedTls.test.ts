/**
 * An answer that is tampered with on its way, over real TLS: the client's OpenSSL refuses the record, and the call, which was
 * executed, is not made again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Certificate } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import * as Net from "node:net"
import type { AddressInfo } from "node:net"
import { senders } from "./senders.ts"
import { keep, listen, none, trust } from "./support.ts"

const certificate = Effect.runSync(Certificate.make())

/** The type of TLS records that carry HTTP (RFC 8446, 5.1). */
const applicationData = 23

/** Passes TCP on to the port, and can spoil one byte of what comes back. */
const middle = (target: number) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly port: number
      /** spoils what comes back next */
      readonly tamper: () => void
      readonly spoilt: () => number
      readonly close: () => void
    }>((resume) => {
      const sockets = new Set<Net.Socket>()
      let tampering = false
      let spoilt = 0
      const server = Net.createServer((client) => {
        const upstream = Net.connect({ host: "127.0.0.1", port: target })
        for (const [from, to] of [
          [client, upstream],
          [upstream, client]
        ] as const) {
          sockets.add(from)
          from.on("error", () => {})
          from.on("close", () => {
            sockets.delete(from)
            to.destroySoon()
          })
        }
        client.on("data", (bytes: Buffer) => upstream.write(bytes))
        upstream.on("data", (bytes: Buffer) => {
          if (tampering) {
            tampering = false
            if (bytes.readUInt8(0) === applicationData) spoilt++
            // the first byte of a record's ciphertext: its header has 5
            bytes.writeUInt8(bytes.readUInt8(5) ^ 1, 5)
          }
          client.write(bytes)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const close = () => {
          server.close()
          for (const socket of sockets) socket.destroy()
        }
        const tamper = () => {
          tampering = true
        }
        resume(Effect.succeed({ port: (server.address() as AddressInfo).port, tamper, spoilt: () => spoilt, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

describe.each(senders)("a call through $name whose answer was tampered with", (sender) => {
  it.live("is not made again, and its outcome is unknown", () =>
    Effect.gen(function* () {
      yield* trust(certificate)
      const { counting, port } = yield* listen({ secure: certificate })
      const proxy = yield* middle(port)
      const kept = yield* keep({ url: `https://localhost:${proxy.port}/mcp`, sender })
      const wrong: Array<string> = []
      for (let call = 0; call < 5; call++) {
        const id = `call ${call}`
        counting.react(id, ({ answer, execute, nth }) => {
          execute()
          if (nth === 1) proxy.tamper()
          answer()
        })
        const said = yield* kept.call(id)
        const executions = counting.executions(id)
        if (said !== "OutcomeUnknown" || executions !== 1) wrong.push(`${id}: ${said}, executed ${executions}`)
        assert.isTrue(yield* kept.well, "well again")
      }
      none(wrong)
      assert.strictEqual(proxy.spoilt(), 5, "records of application data that were spoilt")
    }).pipe(Effect.scoped)
  )
})
