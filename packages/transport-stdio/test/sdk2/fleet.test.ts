/** Children of both eras in one fleet, described by data. */
import { assert, describe } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/client"
import { Fleet } from "@vmcp-keepalive/core"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { StdioTransport } from "../../src/sdk2/index.ts"
import { calm, promise, quickShutdown } from "../backend/support.ts"
import { eraOfCall } from "./support.ts"

describe("a fleet", { timeout: 60_000 }, () => {
  promise("has children of both eras, which negotiate as the options say for their settings", () =>
    Effect.gen(function* () {
      const { args, command, echo } = yield* StdioServers.sdk2({ era: "dual" })
      const spec = (id: string, env: Readonly<Record<string, string>>) => ({
        id,
        settings: { kind: "stdio", command, args, env } satisfies StdioTransport.StdioSettings,
        policy: { ...calm, waitForSession: "20 seconds" } as const
      })
      const transport = StdioTransport.layer({
        shutdown: quickShutdown,
        versionNegotiation: ({ env }) => (env?.["OLD"] === undefined ? undefined : { mode: "legacy" })
      })
      const fleet = yield* Effect.provide(Fleet.make<Client>(), transport)
      yield* fleet.apply([spec("new", {}), spec("old", { OLD: "1" })])
      const eras = yield* Effect.forEach(["new", "old"], (id) =>
        Effect.flatMap(fleet.get(id), (found) =>
          found._tag === "Some"
            ? found.value.use((client) => eraOfCall(client, echo("hi")))
            : Effect.die(new Error(`${id} is no member`))
        )
      )
      assert.deepStrictEqual(eras, ["modern", "legacy"])
    })
  )
})
