/** The page in a browser, on real servers that come to harm. */
import { assert, describe, it } from "@effect/vitest"
import axe from "axe-core"
import { Effect } from "effect"
import * as Browser from "./browser.ts"
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

  it.live("takes a backend out of service and back by the keyboard alone", () =>
    Effect.gen(function* () {
      const { page, problems } = yield* start
      yield* Effect.promise(() => page.getByRole("button", { name: "Isolate local" }).press("Enter"))
      yield* Browser.shown(page, "local", "Isolated")
      yield* Effect.promise(() => page.getByRole("button", { name: "Reset local" }).press("Enter"))
      yield* Browser.shown(page, "local", "Connected")
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
        const violations = yield* Effect.promise(async () => {
          await page.setViewportSize({ width: 1440, height: 900 })
          // as a test does, past the page's own policy, which allows no foreign script
          await page.evaluate(axe.source)
          return page.evaluate(async () => {
            const run: unknown = Reflect.get(globalThis, "axe")
            const { violations } = await (
              run as { run: () => Promise<{ violations: ReadonlyArray<{ id: string }> }> }
            ).run()
            return violations.map(({ id }) => id)
          })
        })
        assert.deepStrictEqual(violations, [], colorScheme)
      }
      assert.deepStrictEqual(problems, [])
    })
  )
})
