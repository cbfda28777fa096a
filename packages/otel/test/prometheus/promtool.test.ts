/** What Prometheus' own checker says of the alerts, their tests and the endpoint. */
import { assert, describe, it } from "@effect/vitest"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import * as Shipped from "./support.ts"

describe.skipIf(Prometheus.isMissingFor("promtool:"))("promtool", () => {
  it.live("finds nothing wrong with the alerts", () =>
    Effect.gen(function* () {
      const { code, said } = yield* Shipped.promtool(["check", "rules", Shipped.alertsPath])
      assert.strictEqual(code, 0, said)
      assert.include(said, `SUCCESS: ${Shipped.alerts.length} rules found`)
    })
  )

  it.live("finds that each alert fires when it must, and when it must not does not", () =>
    Effect.gen(function* () {
      const { code, said } = yield* Shipped.promtool(["test", "rules", Shipped.alertTestsPath])
      assert.strictEqual(code, 0, said)
      assert.include(said, "SUCCESS")
    })
  )

  it.live("finds nothing to improve in what is scraped", () =>
    Effect.gen(function* () {
      const scraped = yield* Shipped.scrapeOfEverything()
      assert.deepStrictEqual(yield* Shipped.promtool(["check", "metrics"], scraped), { code: 0, said: "" })
      const more = yield* Shipped.scrapeOfEverything({ conventions: true })
      assert.include(more, "mcp_client_operation_duration_seconds_bucket")
      assert.deepStrictEqual(yield* Shipped.promtool(["check", "metrics"], more), { code: 0, said: "" })
      const worse = yield* Shipped.promtool(["check", "metrics"], scraped.replaceAll("attempt_total", "attempts"))
      assert.notStrictEqual(worse.said, "")
    })
  )
})
