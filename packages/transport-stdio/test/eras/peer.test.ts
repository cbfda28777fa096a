/** A peer on child processes of both eras: to who uses it, all of them are of the legacy one. */
import { assert, describe, it } from "@effect/vitest"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import { Peer, StdioPeerConnector } from "../../src/peer.ts"
import { hostWithMemory } from "../sdk2/support.ts"

const { everything, scripted, sdk2 } = StdioServers

const hello: Message.Params = {
  protocolVersion: "2025-11-25",
  capabilities: { elicitation: { form: {} }, sampling: {} },
  clientInfo: { name: "a host", version: "1" }
}

const call = (name: string, args: object = {}, more: object = {}) => ({
  method: "tools/call",
  params: { name, arguments: args, ...more }
})

/** Opens a session that ends with the test, and what its peer hears. */
const open = (
  { args, command }: Pick<StdioServers.StdioServer, "args" | "command">,
  options: Omit<StdioPeerConnector.Options, "command" | "args"> = {},
  host = hostWithMemory()
) =>
  Effect.gen(function* () {
    const heard: Array<Message.Request | Message.Notification> = []
    const waiting = new Set<() => void>()
    const peer = () =>
      Peer.make({
        initialize: hello,
        onMessage: (message, _, self) => {
          heard.push(message)
          for (const look of [...waiting]) look()
          if (message.method !== "elicitation/create" || !("id" in message)) return
          const result = { action: "accept", content: { name: "Ada" } }
          self.answer({ jsonrpc: "2.0", id: message.id, result }).catch(() => {})
        }
      })
    const session = yield* StdioPeerConnector.make({ command, args, peer, ...options }).open(host)
    const until = (method: string) =>
      Effect.callback<void>((resume) => {
        const look = () => {
          if (!heard.some((message) => message.method === method)) return
          waiting.delete(look)
          resume(Effect.void)
        }
        waiting.add(look)
        look()
      })
    const ask = (question: { readonly method: string; readonly params?: Message.Params }) =>
      Effect.tryPromise({ try: () => session.call().client.request(question), catch: String })
    return { session, host, heard, until, ask }
  })

describe("a peer finds out the era of a child process:", { timeout: 60_000 }, () => {
  const kinds = [
    ["of the modern era", sdk2({ era: "modern" }), "modern"],
    ["of both", sdk2({ era: "dual" }), "modern"],
    ["of the legacy era, on SDK 2.x", sdk2({ era: "legacy" }), "legacy"],
    ["server-everything, on SDK 1.x", everything, "legacy"],
    ["one that does not know the question", scripted(), "legacy"]
  ] as const
  for (const [name, make, era] of kinds)
    it.live(name, () =>
      Effect.gen(function* () {
        const server: StdioServers.StdioServer = yield* make
        const { ask, session } = yield* open(server)
        assert.strictEqual(session.era, era)
        const { arguments: args, name } = server.echo("hi")
        assert.include(JSON.stringify(yield* ask(call(name, args))), "hi")
        assert.strictEqual(yield* server.starts, 1)
      }).pipe(Effect.scoped)
    )

  it.live("one that is silent is sent initialize after 10 s, and at once where it is told to be legacy", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ silentOn: "server/discover" })
      const began = performance.now()
      assert.strictEqual((yield* open(server, { era: "legacy" })).session.era, "legacy")
      assert.isBelow(performance.now() - began, 9000)
      const again = performance.now()
      const { host, session } = yield* open(server)
      assert.strictEqual(session.era, "legacy")
      assert.isAtLeast(performance.now() - again, 10_000)
      assert.isDefined(host.era.legacyUntil)
    }).pipe(Effect.scoped)
  )
})

describe("a child process of the modern era is to a peer's user as one of the legacy era:", { timeout: 60_000 }, () => {
  it.live("it asks, tells of changes, logs and tells of progress", () =>
    Effect.gen(function* () {
      const server = yield* sdk2({ era: "modern" })
      const { ask, heard, until } = yield* open(server)
      assert.include(JSON.stringify(yield* ask(call("ask"))), "hello Ada")
      assert.deepStrictEqual(yield* ask({ method: "ping" }), {})
      yield* ask({ method: "resources/subscribe", params: { uri: "note://1" } })
      yield* ask(call("touch"))
      yield* until("notifications/tools/list_changed")
      yield* until("notifications/resources/updated")
      yield* ask({ method: "logging/setLevel", params: { level: "info" } })
      yield* ask(call("log", { level: "error" }))
      yield* until("notifications/message")
      yield* ask(call("slow", { ms: 500 }, { _meta: { progressToken: "mine" } }))
      yield* until("notifications/progress")
      assert.include(JSON.stringify(yield* ask(call("headed", { region: "eu" }))), "in eu")
      assert.isTrue(heard.every(({ method }) => method !== "notifications/subscriptions/acknowledged"))
      const refused = yield* Effect.flip(ask({ method: "resources/subscribe" }))
      assert.include(refused, "needs a uri")
    }).pipe(Effect.scoped)
  )

  it.live("a call that is taken back is cancelled by a message", () =>
    Effect.gen(function* () {
      const server = yield* sdk2({ era: "modern" })
      const { ask, session } = yield* open(server)
      const slow = yield* Effect.forkChild(
        Effect.tryPromise((signal) => session.call().client.request(call("slow", { ms: 20_000 }), { signal }))
      )
      yield* ask(call("echo", { message: "after" }))
      yield* Fiber.interrupt(slow)
      assert.include(JSON.stringify(yield* ask(call("echo", { message: "still there" }))), "still there")
    }).pipe(Effect.scoped)
  )
})

describe(
  "an answer that cannot be read, to the request that goes on with what the server has asked,",
  { timeout: 10_000 },
  () => {
    const say = (id: number | string, result: object) => `echo '${JSON.stringify({ jsonrpc: "2.0", id, result })}'`
    const discovered = { supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, resultType: "complete" }
    const asking = {
      resultType: "input_required",
      inputRequests: { name: { method: "elicitation/create", params: {} } }
    }
    for (const [why, answer] of [
      ["no JSON-RPC", `echo '{"jsonrpc":"2.0","id":"leg-0","result":"text"}'`],
      ["longer than limits.messageBytes", `printf '{"jsonrpc":"2.0","id":"leg-0","result":{"x":"%070000d"}}\\n' 0`]
    ] as const)
      it.live(`fails its call: ${why}`, () =>
        Effect.gen(function* () {
          const script = [
            "read -r a",
            say("discover", discovered),
            "read -r b",
            say(0, asking),
            "read -r c",
            answer,
            "cat"
          ]
          const connector = { args: ["-c", script.join("; ")], command: "sh" }
          const { host, session } = yield* open(connector, { limits: { messageBytes: 64 * 1024 } })
          const { client, requests } = session.call()
          const failure = yield* Effect.flip(
            Effect.tryPromise({ try: () => client.request(call("any")), catch: String })
          )
          assert.include(failure, why)
          assert.deepStrictEqual(
            requests.map(({ fate }) => fate),
            ["answered", "answered"]
          )
          assert.deepStrictEqual(host.losses, [])
        }).pipe(Effect.scoped)
      )
  }
)
