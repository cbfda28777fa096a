import { assert, describe, it } from "@effect/vitest"
import { Starts } from "@vmcp-keepalive/core"
import { Duration, Effect, Redacted } from "effect"
import { ClusterOptions } from "../src/index.ts"

const resolve = (options: Partial<ClusterOptions.Options>) =>
  ClusterOptions.resolve({ address: "10.0.0.7:7777", ...options })

/** Which settings are wrong, with what is expected. */
const wrong = (options: object) =>
  Effect.map(Effect.flip(resolve(options)), ({ issues }) =>
    issues.map(({ expected, path }) => `${path.join(".")}: ${expected}`)
  )

describe("the options of a cluster", () => {
  it.effect("are decided where they are left out", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* resolve({ lease: undefined }), {
        address: { host: "10.0.0.7", port: 7777 },
        lease: Duration.seconds(15),
        drain: Duration.millis(7500),
        waitForOwner: Duration.seconds(20),
        shards: 300,
        originStarts: 8,
        declareDead: "lease",
        tls: undefined,
        sessionLedger: undefined
      })
      const long = yield* resolve({ lease: "1 minute" })
      assert.deepStrictEqual([long.drain, long.waitForOwner], [Duration.seconds(10), Duration.seconds(65)])
      const limited = yield* Effect.provide(resolve({}), Starts.layer({ perOrigin: 3 }))
      assert.strictEqual(limited.originStarts, 3)
    })
  )

  it.effect("are refused all at once, each by its name and with what is expected, and without its value", () =>
    Effect.gen(function* () {
      const secret = "user:secret@10.0.0.7:7777"
      const options = {
        address: secret,
        lease: "2 seconds",
        drain: -1,
        waitForOwner: "soon",
        shards: 1.5,
        originStarts: 0,
        declareDead: "soon",
        leese: 1
      }
      const all = yield* wrong(options)
      assert.sameMembers(all, [
        "address: host:port, as others reach this process",
        "lease: a duration from 3 seconds to 10 minutes",
        "drain: a duration from 0 seconds, less than the lease",
        "waitForOwner: a duration from 0 seconds to 1 hour",
        "shards: a whole number from 1 to 10,000",
        "originStarts: a whole number from 1 to 10,000",
        'declareDead: "lease" or "refused"',
        "leese: no such setting"
      ])
      assert.notInclude(all.join(), "secret")
    })
  )

  it.effect("have a key of 32 bytes for the ledger, which is never told", () =>
    Effect.gen(function* () {
      const key = Redacted.make(Buffer.alloc(32, 7).toString("base64"))
      assert.strictEqual((yield* resolve({ sessionLedger: { key } })).sessionLedger?.key, key)
      const expected = ["sessionLedger: a key of 32 bytes in Base64, redacted"]
      for (const other of [Redacted.make("secret"), Redacted.value(key), undefined, 7])
        assert.deepStrictEqual(yield* wrong({ sessionLedger: { key: other } }), expected)
      assert.deepStrictEqual(yield* wrong({ sessionLedger: { key, keys: 1 } }), expected)
    })
  )

  it.effect("have a lease that is longer than the drain, and that is a lease", () =>
    Effect.gen(function* () {
      const tooLong = ["drain: a duration from 0 seconds, less than the lease"]
      assert.deepStrictEqual(yield* wrong({ lease: "4 seconds", drain: "4 seconds" }), tooLong)
      assert.deepStrictEqual(yield* wrong({ drain: "15 seconds" }), tooLong)
      assert.strictEqual(Duration.toMillis((yield* resolve({ lease: "3 seconds", drain: 0 })).drain), 0)
      const noLease = ["lease: a duration from 3 seconds to 10 minutes"]
      assert.deepStrictEqual(yield* wrong({ lease: "11 minutes" }), noLease)
      assert.deepStrictEqual(yield* wrong({ lease: Duration.infinity }), noLease)
    })
  )

  it.effect("have an address at which others reach the process, unless all are on one machine", () =>
    Effect.gen(function* () {
      const loopback = [
        "localhost",
        "a.localhost",
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]"
      ]
      for (const host of loopback) {
        const address = `${host}:7777`
        const expected = ["address: an address at which other machines reach this process"]
        assert.deepStrictEqual(yield* wrong({ address }), expected, address)
        assert.strictEqual((yield* resolve({ address, allowLoopback: true })).address.port, 7777)
      }
      for (const host of ["10.1.27.0", "mcp-0.mcp", "[fd00::1]", "[::ffff:10.0.0.1]", "localhost.example.com"])
        assert.strictEqual((yield* resolve({ address: `${host}:1` })).address.host, host.replaceAll(/[[\]]/g, ""))
    })
  )

  it.effect("have an address that is a host and a port, and nothing more", () =>
    Effect.gen(function* () {
      for (const address of [
        "",
        "10.0.0.7",
        "10.0.0.7:0",
        "10.0.0.7:65536",
        ":7777",
        "http://a:1",
        "a b:1",
        "::1:7777",
        "a:1/x"
      ])
        assert.deepStrictEqual(yield* wrong({ address }), ["address: host:port, as others reach this process"], address)
    })
  )
})
