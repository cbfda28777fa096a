/** Mutual TLS between processes, on real sockets: who is answered, who is not, and what is wrong with certificates before anything starts. */
import { assert, describe, it } from "@effect/vitest"
import { Certificate } from "@vmcp-keepalive/testkit"
import { Context, Duration, Effect, Exit, Layer, Redacted } from "effect"
import { MessageStorage, RunnerAddress, ShardingConfig, Snowflake } from "effect/cluster"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { ClusterOptions } from "../src/index.ts"
import * as Connections from "../src/internal/engine/connections.ts"
import * as Requests from "../src/internal/engine/requests.ts"
import * as Wire from "../src/internal/engine/wire.ts"
import { freePort, make, storage, until } from "./support/world.ts"

const address = "127.0.0.1:7777"
const ping = "ping"

const tlsOf = (
  { cert, key }: Certificate.Certificate,
  ca: Certificate.Certificate,
  name?: string
): ClusterOptions.Tls => ({
  ca: ca.cert,
  cert,
  key: Redacted.make(key),
  ...(name !== undefined && { name })
})

/** A process that answers whoever asks it for a sign of life. */
const listening = (tls: ClusterOptions.Tls | undefined) =>
  Effect.gen(function* () {
    const at = { host: "127.0.0.1", port: yield* freePort }
    const context = yield* Layer.build(Connections.server({ address: at, tls }))
    yield* Context.get(context, Connections.Accepting).accept((connection) => ({
      received: (message) => {
        if (Wire.isQuestion(message) && message._tag === "Request" && message.tag === "Ping")
          connection.send({ _tag: "Exit", requestId: message.id, exit: { _tag: "Success", value: null } })
      },
      ended: () => {}
    }))
    return at
  })

/** Whether the process there answers one that has these certificates. */
const isAnswered = (at: { readonly host: string; readonly port: number }, tls: ClusterOptions.Tls | undefined) =>
  Effect.gen(function* () {
    const runners = yield* Requests.make(Duration.seconds(5))
    const pinged = yield* Effect.exit(Effect.timeout(runners.ping(RunnerAddress.RunnerAddress.make(at)), "4 seconds"))
    return Exit.isSuccess(pinged)
  }).pipe(
    Effect.scoped,
    Effect.provide([
      Connections.clients({ tls }),
      Snowflake.layerGenerator,
      MessageStorage.layerNoop,
      ShardingConfig.layerDefaults
    ])
  )

const authorities = Effect.all([Certificate.make(), Certificate.make()])
const issuedBy = (issuer: Certificate.Certificate, options: Certificate.Options = {}) =>
  Certificate.make({ ...options, issuer })

describe("a process with certificates", () => {
  it.live("answers those whose certificates are of its authority, and nobody else", () =>
    Effect.gen(function* () {
      const [ca, other] = yield* authorities
      const at = yield* listening(tlsOf(yield* issuedBy(ca), ca))
      assert.isTrue(yield* isAnswered(at, tlsOf(yield* issuedBy(ca), ca)))
      const strangers: ReadonlyArray<readonly [string, ClusterOptions.Tls | undefined]> = [
        ["without TLS", undefined],
        ["of another authority", tlsOf(yield* issuedBy(other), ca)],
        ["whose certificate has run out", tlsOf(yield* issuedBy(ca, { notAfter: new Date(Date.now() - 1000) }), ca)]
      ]
      for (const [who, tls] of strangers) assert.isFalse(yield* isAnswered(at, tls), who)
      // and it is there still
      assert.isTrue(yield* isAnswered(at, tlsOf(yield* issuedBy(ca), ca)))
    })
  )

  it.live("says nothing to one that has none, and soon ends the connection of one that does not say who it is", () =>
    Effect.gen(function* () {
      const [ca] = yield* authorities
      const at = yield* listening(tlsOf(yield* issuedBy(ca), ca))
      const heard = (socket: Net.Socket) =>
        Effect.callback<string>((resume) => {
          let text = ""
          socket.on("error", () => {})
          socket.on("data", (data: Buffer) => (text += String(data)))
          socket.once("close", () => resume(Effect.succeed(text)))
        })
      const anonymous = Tls.connect({ ...at, ca: ca.cert })
      anonymous.on("secureConnect", () => anonymous.write(ping))
      assert.strictEqual(yield* heard(anonymous), "")
      const began = Date.now()
      yield* heard(Net.connect(at))
      assert.isBelow(Date.now() - began, 5000)
    })
  )

  it.live("asks none that has another authority's, or another host's, and none without", () =>
    Effect.gen(function* () {
      const [ca, other] = yield* authorities
      const own = tlsOf(yield* issuedBy(ca), ca)
      const pods = yield* issuedBy(ca, { names: ["mcp.cluster"], addresses: [] })
      for (const [whose, tls] of [
        ["of another authority", { ...tlsOf(yield* issuedBy(other), other), ca: ca.cert + other.cert }],
        ["for another host", tlsOf(pods, ca)],
        ["none", undefined]
      ] as const)
        assert.isFalse(yield* isAnswered(yield* listening(tls), own), whose)
    })
  )

  it.live("finds others by the name that is in the certificates of all, where their addresses are of pods", () =>
    Effect.gen(function* () {
      const [ca] = yield* authorities
      const pods = yield* issuedBy(ca, { names: ["mcp.cluster"], addresses: [] })
      const at = yield* listening(tlsOf(pods, ca))
      assert.isTrue(yield* isAnswered(at, tlsOf(pods, ca, "mcp.cluster")))
      assert.isFalse(yield* isAnswered(at, tlsOf(pods, ca, "other.cluster")))
    })
  )
})

describe("a cluster whose processes have certificates", () => {
  it.live(
    "hands calls from one to the other, and over",
    () =>
      Effect.gen(function* () {
        const [ca] = yield* authorities
        const tls = { ca: ca.cert, ...(yield* issuedBy(ca)) }
        const made = yield* make({ storage: yield* storage, backends: 12, lease: 4000, options: { tls } })
        const [one, two] = yield* Effect.all([made.replica, made.replica], { concurrency: "unbounded" })
        const owners = yield* until(
          "both keep some",
          made.owners(one),
          (owners) => owners.size === made.ids.length && new Set(owners.values()).size === 2
        )
        for (const id of made.ids) yield* one.ask({ ask: "call", id, tag: id })
        assert.sameMembers(
          made.farm.executed().map(({ backend, replica }) => `${backend} ${replica}`),
          [...owners].map(([id, owner]) => `${id} ${owner}`)
        )
        yield* two.signal("SIGTERM")
        yield* two.exited
        for (const id of made.ids) yield* one.ask({ ask: "call", id, tag: id })
      }),
    90_000
  )
})

describe("certificates", () => {
  const resolve = (options: Partial<ClusterOptions.Options>) =>
    ClusterOptions.resolve({ address, allowLoopback: true, ...options })
  const wrong = (tls: object) => {
    const options: object = { tls }
    return Effect.map(Effect.flip(resolve(options)), ({ issues }) =>
      issues.map(({ expected, path }) => `${path.join(".")}: ${expected}`)
    )
  }

  it.effect("are looked at before anything starts: each wrong one is told, none is shown", () =>
    Effect.gen(function* () {
      const [ca, other] = yield* authorities
      const [own, another] = yield* Effect.all([issuedBy(ca), issuedBy(ca)])
      const good = tlsOf(own, ca)
      assert.deepStrictEqual((yield* resolve({ tls: good })).tls, good)
      const bundle = { ...good, ca: other.cert + ca.cert }
      assert.deepStrictEqual((yield* resolve({ tls: bundle })).tls, bundle)

      const shape = ["tls: ca and cert in PEM, key redacted, and optionally name"]
      assert.deepStrictEqual(yield* wrong({ ca: ca.cert, cert: own.cert }), shape)
      assert.deepStrictEqual(yield* wrong({ ...good, key: own.key }), shape)
      assert.deepStrictEqual(yield* wrong({ ...good, passphrase: "secret" }), shape)
      assert.deepStrictEqual(yield* wrong({ ca: "secret", cert: "secret", key: Redacted.make("secret") }), [
        "tls.ca: certificates in PEM",
        "tls.cert: a certificate in PEM",
        "tls.key: a private key in PEM, without a passphrase"
      ])
      assert.deepStrictEqual(yield* wrong({ ...good, key: Redacted.make(another.key) }), [
        "tls.key: the key of tls.cert"
      ])
      assert.deepStrictEqual(yield* wrong({ ...good, ca: other.cert }), ["tls.cert: issued by one of tls.ca"])
      const elsewhere = yield* issuedBy(ca, { addresses: ["10.0.0.1"] })
      const forHost = "tls.cert: a certificate for tls.name, or for the host of the address"
      assert.deepStrictEqual(yield* wrong(tlsOf(elsewhere, ca)), [forHost])
      assert.deepStrictEqual(yield* wrong({ ...good, name: "mcp.cluster" }), [forHost])
    })
  )
})
