/**
 * The pictures of the page that the README shows: taken of real servers, some of which come to harm.
 *
 * `UPDATE_IMAGES=1 pnpm --filter vmcp-keepalive exec vitest run test/page/pictures.test.ts` takes them anew, in about five minutes: the
 * strip has to have something to show.
 */
import { mkdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Fleet, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { Fault, FaultProxy, McpServers, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector, HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Clock, Effect, PubSub, Stream } from "effect"
import { fileURLToPath } from "node:url"
import * as Browser from "@vmcp-keepalive/testkit/Browser"
import * as Served from "./served.ts"

const schemes = ["light", "dark"] as const
const root = new URL("../../../../", import.meta.url)
const pathOf = (scheme: (typeof schemes)[number]) => fileURLToPath(new URL(`docs/images/page-${scheme}.png`, root))

const policy = {
  interval: "2 seconds",
  timeout: "800 millis",
  confirmInterval: "500 millis",
  connectTimeout: "10 seconds",
  backoff: { initial: "1 second", factor: 2, cap: "15 seconds" },
  stableAfter: "1 second",
  circuit: { failures: 4, openFor: "2 minutes" }
} as const satisfies KeepalivePolicy.Options

const scene = Effect.gen(function* () {
  const everything = yield* McpServers.everything
  const fleet = yield* Fleet.make<Peer.Peer>().pipe(
    Effect.provide(HttpPeerTransport.layer()),
    Effect.provide(KeepalivePolicy.layer(policy))
  )
  const proxied = (id: string) =>
    Effect.gen(function* () {
      const proxy = yield* FaultProxy.make({ target: { port: everything.port } })
      yield* fleet.add({ id, connector: HttpPeerConnector.make({ url: `${proxy.url}/mcp` }) })
      return proxy
    })
  const local = (id: string, command: string, args: ReadonlyArray<string>) =>
    fleet.add({ id, connector: StdioPeerConnector.make({ command, args }) })

  const github = yield* proxied("github")
  const files = yield* StdioServers.scripted()
  yield* local("filesystem", files.command, files.args)
  const billing = yield* proxied("billing")
  yield* local("database", process.execPath, ["-e", "process.exitCode = 3; console.error('no such database')"])
  const search = yield* proxied("search")
  const notes = yield* StdioServers.memory
  yield* local("notes", notes.command, notes.args)
  yield* proxied("browser")
  return { fleet, github, billing, search }
})

describe("the pictures of the page", () => {
  it.live.runIf(process.env["UPDATE_IMAGES"] === "1")(
    "are taken anew",
    () =>
      Effect.gen(function* () {
        const { billing, fleet, github, search } = yield* scene
        const marks = yield* PubSub.unbounded<{ at: number; backend: string; label: string }>()
        const extras = { buttons: () => Effect.succeed([]), run: () => Effect.void, marks: Stream.fromPubSub(marks) }
        const url = yield* Served.serve({ fleet, extras })
        const mark = (backend: string, label: string) =>
          Effect.flatMap(Clock.currentTimeMillis, (at) => PubSub.publish(marks, { at, backend, label }))
        const browser = yield* Effect.flatMap(fleet.get("browser"), Effect.fromOption)
        const pause = Effect.sleep("20 seconds")

        yield* Effect.sleep("100 seconds")
        yield* mark("github", "Fault: nobody listens")
        yield* github.inject(Fault.Refuse())
        yield* pause
        yield* github.heal
        yield* browser.isolate
        yield* Effect.sleep("70 seconds")
        yield* mark("search", "Fault: answers are swallowed")
        yield* search.inject(Fault.SilentDrop())
        yield* pause
        yield* search.heal
        yield* billing.inject(Fault.Answer({ status: 401 }))
        yield* pause
        yield* mark("search", "Fault: answers are swallowed")
        yield* search.inject(Fault.SilentDrop())

        const { page, problems } = yield* Browser.open(yield* Browser.launch, url, {
          viewport: { width: 1440, height: 940 },
          reducedMotion: "reduce"
        })
        yield* Browser.shown(page, "search", /Disconnected|Connecting|Unhealthy/)
        yield* Browser.shown(page, "billing", "Needs credentials")
        mkdirSync(new URL("docs/images/", root), { recursive: true })
        for (const colorScheme of schemes)
          yield* Effect.promise(async () => {
            await page.emulateMedia({ colorScheme })
            await page.screenshot({ path: pathOf(colorScheme) })
          })
        assert.deepStrictEqual(problems, [])
      }),
    360_000
  )

  it("are there in light and dark, of one size, and small enough for a README", () => {
    const readme = readFileSync(new URL("README.md", root), "utf8")
    const sizes = schemes.map((scheme) => {
      const image = readFileSync(pathOf(scheme))
      assert.include(readme, `docs/images/page-${scheme}.png`)
      assert.isAtMost(image.length, 200_000)
      return [image.toString("latin1", 1, 4), image.readUInt32BE(16), image.readUInt32BE(20)]
    })
    assert.deepStrictEqual(sizes, [
      ["PNG", 1440, 940],
      ["PNG", 1440, 940]
    ])
  })
})
