/** The README's example: it is what stands here, and it works. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
/* oxlint-disable unicorn/prefer-add-event-listener -- neither the wire nor the SDK's transport is an EventTarget */
import { describe, expect, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js"
import { type Connector, Evidence } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { Ask, CallView, ClientTransport, Limits, Message } from "../src/index.ts"
import { makeServer } from "./support.ts"

// README: from here
interface Wire {
  send(message: Message.Message): Promise<void>
  close(): Promise<void>
  onmessage?: (value: unknown) => void
  onclose?: () => void
}

const open = async (wire: Wire, host: Connector.SessionHost): Promise<Connector.Session<Client>> => {
  const transport = new ClientTransport.ClientTransport({
    subscriptions: host.subscriptions,
    request: (message, pending) => {
      pending.record.fate = "dispatched" // from here on it may reach the server
      wire.send(message).catch((error: Error) => {
        requests.fail(pending, Evidence.transportFailure("unknown"), error)
      })
    },
    transmit: (message) => wire.send(message),
    closed: () => {
      requests.close() // the records first: then the client rejects what is under way
      host.lost("closed")
      void wire.close()
    }
  })
  const { requests } = transport
  wire.onmessage = (value) => {
    host.alive()
    const message = Message.of(value)
    if (message === undefined) host.notice("garbage", 1)
    else requests.received(message)
  }
  wire.onclose = () => void transport.close()

  const kind = CallView.kind() // Peer.kind(): without an SDK
  const client = Effect.runSync(kind.make)
  await kind.connect(client, transport)
  return {
    client,
    era: requests.era,
    stateful: true,
    separateAnswers: false,
    call: (traceparent) => kind.call(requests, client, traceparent),
    // With `supportsOptions: false` in the connector nobody asks for `options`.
    probe: (rung) => Ask.probe(requests, rung._tag === "options" ? { _tag: "ping" } : rung),
    refresh: Effect.succeed(false),
    list: (listed) => Effect.suspend(() => Ask.list(requests, kind.capabilities(client), Limits.defaults, listed))
  }
}
// README: to here

const textOf = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

const between = (text: string, begin: string, end: string): string => {
  const from = text.indexOf(begin)
  const to = text.indexOf(end, from + begin.length)
  if (from === -1 || to === -1) throw new Error(`nothing between ${begin} and ${end}`)
  return text.slice(from + begin.length, to)
}

describe("the README's session over any transport", () => {
  it("is the one that is tested here", () => {
    // what it imports, and that it exports, is that it compiles by itself: apps/compat has it compiled
    const example = `interface Wire {${between(textOf("../README.md"), "interface Wire {", "```")}`
    const tested = between(textOf("readme.test.ts"), "// README: from here\n", "// README: to here\n")
    expect(example.replace("export const open", "const open")).toBe(tested)
  })

  it("names every module that the package has", () => {
    const readme = textOf("../README.md")
    const exported = [textOf("../src/index.ts"), textOf("../src/withoutSdk.ts")].join("\n")
    const modules = [...exported.matchAll(/export \* as (\w+)/g)].map(([, name]) => name)
    expect(modules.length).toBeGreaterThan(5)
    for (const name of modules) expect(readme).toContain(`| \`${name}\` |`)
  })

  it.live("opens, probes, calls and ends", () =>
    Effect.gen(function* () {
      const [near, far] = InMemoryTransport.createLinkedPair()
      yield* Effect.promise(() => makeServer().connect(far))
      const wire: Wire = {
        send: (message) => near.send(JSON.parse(JSON.stringify(message))),
        close: () => near.close()
      }
      near.onmessage = (message) => wire.onmessage?.(message)
      near.onclose = () => wire.onclose?.()
      const told: Array<unknown> = []
      const host: Connector.SessionHost = {
        alive: () => performance.now(),
        observe: (evidence) => void told.push(evidence),
        notice: (...noticed) => void told.push(noticed),
        listChanged: () => {},
        lost: (reason) => void told.push(reason),
        output: () => {},
        subscriptions: new Set()
      }
      const session = yield* Effect.promise(() => open(wire, host))
      expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      expect((yield* session.list("tools")).map(({ name }) => name)).toEqual(["echo", "fail", "hang"])
      const { client, requests } = session.call()
      yield* Effect.promise(() => client.callTool({ name: "echo" }))
      const hanging = client.callTool({ name: "hang" }).catch((error: unknown) => error)
      wire.onmessage?.("no message")
      yield* Effect.promise(() => far.close())
      expect(yield* Effect.promise(() => hanging)).toBeInstanceOf(Error)
      expect(requests).toMatchObject([
        { tool: "echo", fate: "answered" },
        { tool: "hang", fate: "dispatched", evidence: { reason: "closed" } }
      ])
      expect(told).toEqual([["garbage", 1], "closed"])
    })
  )
})
