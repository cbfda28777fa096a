/** The page in a browser, on real servers that come to harm. */
import { assert, describe, it } from "@effect/vitest"
import { Fault, FaultProxy } from "@vmcp-keepalive/testkit"
import axe from "axe-core"
import { Duration, Effect } from "effect"
import type { Page as Tab } from "@vmcp-keepalive/testkit/Browser"
import * as Browser from "@vmcp-keepalive/testkit/Browser"
import type { Page } from "../../src/index.ts"
import * as Fleets from "./fleets.ts"
import * as Served from "./served.ts"
import * as World from "./world.ts"

const widths = [390, 820, 1280, 1440, 1920]

const start = Effect.gen(function* () {
  const world = yield* World.make
  const url = yield* Served.serve({ fleet: world.fleet })
  const browser = yield* Browser.launch
  const tab = yield* Browser.open(browser, `${url}/#token=${Served.token}`)
  yield* Browser.shown(tab.page, "web", "Connected")
  yield* Browser.shown(tab.page, "local", "Connected")
  return { ...world, ...tab, url }
})

const press = (page: Tab, key: string) => Effect.promise(() => page.keyboard.press(key))

/** What the element that has the focus is called. */
const focused = (page: Tab) =>
  Effect.promise(() =>
    page.evaluate(() => {
      const element = document.activeElement
      return element?.getAttribute("aria-label") ?? element?.textContent ?? ""
    })
  )

/** Presses Tab until an element of this name has the focus, which is seen. */
const tabTo = (page: Tab, name: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let presses = 0; presses < 60; presses++) {
      if ((yield* focused(page)) === name) {
        const outline = yield* Effect.promise(() =>
          page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle)
        )
        assert.strictEqual(outline, "solid")
        return
      }
      yield* press(page, "Tab")
    }
    assert.fail(`"${name}" cannot be reached by the keyboard`)
  })

/** What axe finds. It is run as a test does, past the page's own policy, which allows no foreign script. */
const violations = (page: Tab) =>
  Effect.promise(async () => {
    await page.evaluate(axe.source)
    return page.evaluate(async () => {
      const run: unknown = Reflect.get(globalThis, "axe")
      const { violations } = await (run as { run: () => Promise<{ violations: ReadonlyArray<{ id: string }> }> }).run()
      return violations.map(({ id }) => id)
    })
  })

describe.skipIf(Browser.isMissingFor("the page in a browser"))("the page in a browser", () => {
  it.live("shows a backend that is killed, and that it comes back, in its row and among the events", () =>
    Effect.gen(function* () {
      const { page, problems, server } = yield* start
      yield* server.kill
      yield* Browser.shown(page, "web", /Disconnected|Connecting|Circuit open/)
      yield* Effect.promise(() => page.locator("#summary").filter({ hasText: "need attention" }).waitFor())
      assert.match(yield* Effect.promise(() => page.title()), /need attention|needs attention/)
      yield* server.start
      yield* Effect.promise(() => page.getByRole("button", { name: "Reconnect web" }).press("Enter"))
      yield* Browser.shown(page, "web", "Connected")
      const events = yield* Effect.promise(() => page.locator("#events").innerText())
      assert.match(events, /web/)
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("takes a backend out of service and back, and shows its details, by the keyboard alone", () =>
    Effect.gen(function* () {
      const { page, problems } = yield* start
      yield* tabTo(page, "Isolate local")
      yield* press(page, "Enter")
      yield* Browser.shown(page, "local", "Isolated")
      yield* tabTo(page, "Reset local")
      yield* press(page, "Space")
      yield* Browser.shown(page, "local", "Connected")

      yield* tabTo(page, "missing")
      yield* press(page, "Enter")
      const details = page.locator("#details")
      yield* Effect.promise(() => details.getByText("Nobody listens at its address").first().waitFor())
      yield* press(page, "Escape")
      yield* Effect.promise(() => details.waitFor({ state: "hidden" }))
      assert.strictEqual(yield* focused(page), "missing")
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("asks for the token with the first command, and again where it was a wrong one; the address keeps none", () =>
    Effect.gen(function* () {
      const { fleet } = yield* Fleets.make(["one"])
      const url = yield* Served.serve({ fleet })
      const { page, problems } = yield* Browser.open(yield* Browser.launch, url)
      yield* Browser.shown(page, "one", "Idle")
      yield* Effect.promise(async () => {
        await page.getByRole("button", { name: "Isolate one" }).click()
        await page.getByLabel("Token", { exact: true }).fill("a guess")
        await page.keyboard.press("Enter")
        await page.getByText("The gateway does not know this token.").waitFor()
        await page.getByLabel("Token", { exact: true }).fill(Served.token)
        await page.keyboard.press("Enter")
      })
      yield* Browser.shown(page, "one", "Isolated")
      const other = yield* Browser.open(yield* Browser.launch, `${url}/#token=${Served.token}`)
      yield* Browser.shown(other.page, "one", "Isolated")
      assert.notInclude(other.page.url(), Served.token)
      assert.deepStrictEqual([...problems, ...other.problems], [])
    })
  )

  it.live("says that what one sees may be old when the stream is cut, stops its clocks, and catches up", () =>
    Effect.gen(function* () {
      const { fleet, get } = yield* Fleets.make(["one", "two"])
      // The proxy asks by a Host of its own, which is not that of the page's Origin.
      const direct = yield* Served.serve({ fleet, guard: () => true })
      const proxy = yield* FaultProxy.make({ target: { port: Number(new URL(direct).port) } })
      const { page, problems } = yield* Browser.open(yield* Browser.launch, proxy.url)
      yield* Browser.shown(page, "one", "Idle")
      const fault = yield* proxy.inject(Fault.Refuse())
      const lost = page.getByRole("alert").filter({ hasText: /what you see may be old \(since \d\d:\d\d:\d\d\)/ })
      yield* Effect.promise(() => lost.waitFor())
      const since = Browser.rowOf(page, "one").locator(".how .sub")
      const before = yield* Effect.promise(() => since.innerText())
      yield* (yield* get("two")).isolate
      yield* fleet.remove("one")
      // as long as a clock that runs needs to show another second
      yield* Effect.sleep("1500 millis")
      assert.strictEqual(yield* Effect.promise(() => since.innerText()), before)
      assert.match(yield* Effect.promise(() => page.title()), /^\?/)

      yield* fault.heal
      yield* Effect.promise(() => lost.waitFor({ state: "hidden" }))
      yield* Browser.shown(page, "two", "Isolated")
      assert.strictEqual(yield* Effect.promise(() => Browser.rowOf(page, "one").count()), 0)
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("shows names that are markup as text, and runs nothing of them", () =>
    Effect.gen(function* () {
      const hostile = `<img src=x onerror="document.title='taken'">`
      const { fleet, get, server } = yield* Fleets.make([hostile])
      server.script.tools = [{ name: hostile }]
      const url = yield* Served.serve({
        fleet,
        extras: { buttons: () => Effect.succeed([{ id: "x", label: hostile }]), run: () => Effect.void }
      })
      const { page, problems } = yield* Browser.open(yield* Browser.launch, `${url}/#token=${Served.token}`)
      yield* (yield* get(hostile)).reset
      yield* Browser.shown(page, hostile, "Connected")
      yield* Effect.promise(async () => {
        await Browser.rowOf(page, hostile).getByText("1 tool").waitFor()
        await page.locator(".name").click()
        await page.getByText("Tools (1)").click()
        await page.locator(".names li").filter({ hasText: hostile }).waitFor()
        await page.locator("#details").getByRole("button", { name: hostile, exact: true }).click()
      })
      assert.strictEqual(yield* Effect.promise(() => page.locator("body img:not([src='/page/icon.svg'])").count()), 0)
      assert.notStrictEqual(yield* Effect.promise(() => page.title()), "taken")
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live(
    "shows the gateways of a cluster, and that its database is silent, without a violation and sideways scrolling",
    () =>
      Effect.gen(function* () {
        const { fleet } = yield* Fleets.make(["one", "two"])
        const here = "10.0.0.1:7777"
        const other = "[2001:db8::2]:7777"
        const process = (address: string, backends: ReadonlyArray<string>) => ({
          address,
          isHere: address === here,
          isHealthy: address === here,
          backends,
          left: Duration.seconds(14)
        })
        let isSilent = false
        const cluster: Page.Cluster = {
          processes: Effect.suspend(() =>
            isSilent ? Effect.fail("no answer") : Effect.succeed([process(here, ["one"]), process(other, ["two"])])
          ),
          leaseMargin: Effect.succeed(Duration.seconds(9))
        }
        const url = yield* Served.serve({ fleet, cluster })
        const { page, problems } = yield* Browser.open(yield* Browser.launch, url)
        yield* Browser.shown(page, "one", "Idle")
        yield* Effect.promise(async () => {
          await page.getByRole("heading", { name: "2 gateways" }).waitFor()
          await page.locator("#processes li").filter({ hasText: "this one · 1 backend · lease 14 s" }).waitFor()
          await page
            .locator("#processes li")
            .filter({ hasText: `${other}1 backend · lease 14 s · does not answer` })
            .waitFor()
          await Browser.rowOf(page, "two").getByText(`on ${other}`).waitFor()
        })
        isSilent = true
        const silent = page.getByText(/does not answer since .*: this gateway lets go of its backends in 9 s/)
        yield* Effect.promise(() => silent.waitFor())
        for (const width of widths) {
          const sideways = yield* Effect.promise(async () => {
            await page.setViewportSize({ width, height: 900 })
            return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
          })
          assert.strictEqual(sideways, 0, String(width))
        }
        assert.deepStrictEqual(yield* violations(page), [])
        assert.deepStrictEqual(problems, [])
      })
  )

  it.live("has no violation that axe finds, overlaps nothing and scrolls nowhere sideways, in light and dark", () =>
    Effect.gen(function* () {
      const { page, problems } = yield* start
      yield* Browser.shown(page, "missing", "Circuit open")
      for (const colorScheme of ["light", "dark"] as const) {
        for (const width of widths) {
          const found = yield* Effect.promise(async () => {
            await page.emulateMedia({ colorScheme, reducedMotion: "reduce" })
            await page.setViewportSize({ width, height: 900 })
            return page.evaluate(() => {
              const boxes = [...document.querySelectorAll("button, .state, .name, .latency, .why")]
                .map((element) => [element.textContent, element.getBoundingClientRect()] as const)
                .filter(([, { height, width }]) => width > 0 && height > 0)
              const hits = boxes.flatMap(([name, a], index) =>
                boxes
                  .slice(index + 1)
                  .filter(
                    ([, b]) =>
                      a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1
                  )
                  .map(([other]) => `${name} × ${other}`)
              )
              return { hits, sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth }
            })
          })
          assert.deepStrictEqual(found, { hits: [], sideways: 0 }, `${colorScheme} at ${width}`)
        }
        yield* Effect.promise(() => page.setViewportSize({ width: 1440, height: 900 }))
        assert.deepStrictEqual(yield* violations(page), [], colorScheme)
        yield* Effect.promise(async () => {
          await page.getByRole("button", { name: "missing", exact: true }).click()
          await page.locator("#details .history li").first().waitFor()
        })
        assert.deepStrictEqual(yield* violations(page), [], `details, ${colorScheme}`)
        yield* press(page, "Escape")
      }
      assert.deepStrictEqual(problems, [])
    })
  )
})
