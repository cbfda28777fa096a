/** A thousand backends on the page, in a browser: it measures real time, so nothing else of this suite runs beside it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Browser from "@vmcp-keepalive/testkit/Browser"
import * as Fleets from "./fleets.ts"
import * as Served from "./served.ts"

/** In the page: when the row of that backend has been drawn with another state, by the wall clock. */
const timeOfDrawing = (id: string): Promise<number> =>
  new Promise((resolve) => {
    const state = document.querySelector(`.row[data-id="${id}"] .state`)
    if (state === null) return
    new MutationObserver((_, observer) => {
      observer.disconnect()
      // A task that follows on the callbacks of a frame runs when that frame has been drawn.
      requestAnimationFrame(() => setTimeout(() => resolve(Date.now())))
    }).observe(state, { childList: true, subtree: true, characterData: true })
    document.body.dataset["watches"] = id
  })

/** In the page: how long each frame took while the table was scrolled through. */
const framesOfScrolling = (): Promise<Array<number>> =>
  new Promise((resolve) => {
    const table = document.querySelector("#table")
    const frames: Array<number> = []
    let last: number | undefined
    const step = (now: number) => {
      if (last !== undefined) frames.push(now - last)
      last = now
      if (table === null || frames.length === 120) resolve(frames)
      else {
        table.scrollTop += 120
        requestAnimationFrame(step)
      }
    }
    requestAnimationFrame(step)
  })

describe.skipIf(Browser.isMissingFor("a thousand backends in a browser"))("the page in a browser", () => {
  it.live("draws a change within 100 ms among a thousand backends, and scrolls smoothly", () =>
    Effect.gen(function* () {
      const ids = Fleets.numbered(1000)
      const { fleet, get } = yield* Fleets.make(ids)
      const url = yield* Served.serve({ fleet })
      const { page, problems } = yield* Browser.open(yield* Browser.launch, url)
      yield* Browser.shown(page, "backend-0999", "Idle")

      const delays: Array<number> = []
      for (let turn = 0; turn < 21; turn++) {
        const id = ids[turn * 7] ?? ""
        const drawn = yield* Effect.forkChild(
          Effect.promise(() => page.evaluate(timeOfDrawing, id)),
          { startImmediately: true }
        )
        // It watches when it says so.
        yield* Effect.promise(() => page.waitForFunction((id) => document.body.dataset["watches"] === id, id))
        const changed = Date.now()
        yield* (yield* get(id)).isolate
        delays.push((yield* Fiber.join(drawn)) - changed)
      }
      const median = delays.toSorted((one, other) => one - other)[10] ?? Number.POSITIVE_INFINITY

      const frames = (yield* Effect.promise(() => page.evaluate(framesOfScrolling))).toSorted(
        (one, other) => one - other
      )
      const at = (part: number) => frames[Math.floor(frames.length * part)] ?? Number.POSITIVE_INFINITY
      console.info(
        `1,000 backends: a change is drawn after ${median} ms (median of 21); frames while scrolling take ${at(0.5).toFixed(0)} ms, p95 ${at(0.95).toFixed(0)} ms`
      )
      assert.isAtMost(median, 100, delays.join(" "))
      // 30 frames a second: there is no graphics card, and others use the machine
      assert.isAtMost(at(0.5), 34)
      assert.isAtMost(at(0.95), 100)

      yield* Effect.promise(async () => {
        await page.getByLabel("Search backends").fill("backend-0991")
        await Browser.rowOf(page, "backend-0990").waitFor({ state: "hidden" })
        await Browser.rowOf(page, "backend-0991").waitFor({ state: "visible" })
      })
      assert.deepStrictEqual(problems, [])
    })
  )
})
