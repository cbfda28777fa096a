/** The page of the demo while the tour is played, and what its buttons do to the real servers after it. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import * as Browser from "@vmcp-keepalive/testkit/Browser"
import { Effect } from "effect"
import { expect, test } from "vitest"
import type { Page } from "vmcp-keepalive"
import { type Run, start, until } from "./program.ts"

/** Where it is reached, as it prints. */
const reached = async ({ output }: Run) => {
  const page = () => /^page +(http:\/\/127\.0\.0\.1:\d+)\/#token=([\w-]+)$/m.exec(output.stdout)
  await until(() => page() !== null)
  const [, origin = "", token = ""] = page() ?? []
  return { origin, token, page: `${origin}/#token=${token}` }
}

const stays = "It keeps running"

/** What the API of the page tells and takes. */
const api = ({ origin, token }: { readonly origin: string; readonly token: string }) => {
  const ask = (path: string, method = "GET") =>
    fetch(`${origin}/api/${path}`, { method, headers: { authorization: `Bearer ${token}` } })
  const rowOf = async (id: string) => {
    const status: Page.Status = await (await ask("status")).json()
    const row = status.backends.find((one) => one.id === id)
    if (row === undefined) throw new Error(`${id} is not there`)
    return row
  }
  return {
    ids: async () => {
      const status: Page.Status = await (await ask("status")).json()
      return status.backends.map(({ id }) => id)
    },
    rowOf,
    press: async (id: string, button: string) => {
      const answer = await ask(`backends/${id}/${button}`, "POST")
      return { status: answer.status, text: await answer.text() }
    }
  }
}

test("keeps running after the tour: page, MCP endpoint, metrics and buttons are there, and SIGTERM ends it within two seconds, as the tour has gone", async () => {
  const run = await start("--port", "0")
  const { child, ended, left, output } = run
  const { origin, token } = await reached(run)
  const { ids, press, rowOf } = api({ origin, token })

  // as soon as they are shown, and before the tour is over
  await until(() => output.stdout.includes("▼"))
  expect(await press("everything", "kill")).toMatchObject({
    status: 409,
    text: expect.stringContaining("The tour is playing")
  })
  expect((await fetch(`${origin}/api/backends/everything/kill`, { method: "POST" })).status).toBe(401)

  await until(() => output.stdout.includes(stays))
  expect(output.stdout.match(/^page +http/gm)).toHaveLength(2)
  expect(output.stdout).not.toContain("\u001B")
  const marks = (await rowOf("everything")).marks.map(({ label }) => label)
  expect(marks).toEqual([
    "Fault: restarted, stale session is 400",
    "Fault: killed in the middle of calls",
    "Over: killed in the middle of calls",
    "The tour is over"
  ])

  const client = new Client({ name: "test", version: "1" })
  await client.connect(new StreamableHTTPClientTransport(new URL(`${origin}/mcp`)) as Transport)
  const { tools } = await client.listTools()
  expect(new Set(tools.map(({ name }) => name.split("__")[0]))).toEqual(new Set(await ids()))
  await client.close()
  const metrics = await (await fetch(`${origin}/metrics`)).text()
  expect(metrics).toMatch(/^vmcp_keepalive_backends 8$/m)

  expect(await press("filesystem", "kill")).toMatchObject({ status: 200 })
  await until(async () => (await rowOf("filesystem")).marks.at(-1)?.label === "Fault: Kill")

  const asked = performance.now()
  child.kill("SIGTERM")
  expect(await ended).toEqual([output.stdout.includes("21 of 21 faults as expected") ? 0 : 1, null])
  expect(performance.now() - asked).toBeLessThan(2_000)
  expect(await left()).toEqual([])
}, 180_000)

test.skipIf(Browser.isMissingFor("the demo's page in a browser:"))(
  "on the screen the tour's faults are marks in the strips, the buttons wait for its end, and one that is pressed kills a real server, which comes back",
  async () => {
    const run = await start("--port", "0")
    const { output } = run
    const address = await reached(run)
    const { rowOf } = api(address)
    await Effect.gen(function* () {
      const { page, problems } = yield* Browser.open(yield* Browser.launch, address.page)
      const row = (id: string) => Browser.rowOf(page, id)
      const button = (name: string | RegExp) => page.locator("#details").getByRole("button", { name })
      yield* Effect.promise(async () => {
        await row("everything").waitFor()
        await row("everything").locator(".strip .mark").first().waitFor({ state: "attached", timeout: 60_000 })
        await page
          .locator("#log li")
          .filter({ hasText: "Fault: killed in the middle of calls" })
          .first()
          .waitFor({ timeout: 60_000 })

        await row("everything").locator(".name").click()
        await button("Kill for 5 s").and(page.locator("[aria-disabled=true]")).waitFor()
        await page.locator("#details").getByText("The tour is playing: its faults come first.").waitFor()

        await until(() => output.stdout.includes(stays))
        await button("Kill for 5 s").and(page.locator(":not([aria-disabled])")).waitFor()
        await page.locator("#details .state").filter({ hasText: "Connected" }).waitFor()
        await button("Kill for 5 s").click()
        await button("Start it now").waitFor()
        await button("Freeze for 10 s").and(page.locator("[aria-disabled=true]")).waitFor()
        await page
          .locator("#details .state")
          .filter({ hasText: /Unhealthy|Connecting|Disconnected/ })
          .waitFor()
        await button("Start it now").click()
        await page.locator("#details .state").filter({ hasText: "Connected" }).waitFor({ timeout: 30_000 })
        await page
          .locator("#details .history li")
          .filter({ hasText: /Over: Kill$/ })
          .waitFor()
      })
      expect((yield* Effect.promise(() => rowOf("everything"))).marks.map(({ label }) => label)).toContain(
        "Fault: Kill"
      )
      expect(problems).toEqual([])
    }).pipe(Effect.scoped, Effect.runPromise)
  },
  180_000
)
