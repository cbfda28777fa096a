/** The gateway's page in Chromium as Debian has it. Nothing is downloaded: suites are skipped where it is not installed. */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import type { Scope } from "effect"
import { chromium } from "playwright-core"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"

export type { Page } from "playwright-core"

const executablePath = "/usr/bin/chromium"

/** Whether a suite of this name has to be skipped because there is no browser. If so, says so. */
export const isMissingFor = (suite: string): boolean => {
  const isMissing = !existsSync(executablePath)
  if (isMissing) console.warn(`${suite} skipped: Debian's package chromium is not installed`)
  return isMissing
}

/** Ends with the scope. */
export const launch: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync"
      ]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

export interface Tab {
  readonly page: Page
  /** what went wrong in it: errors of scripts, refused resources, requests that left the origin */
  readonly problems: Array<string>
}

/** A tab that shows the page. What it asks of any other origin is a problem. */
export const open = (
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {}
): Effect.Effect<Tab, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB", ...options })
      const page = await context.newPage()
      const problems: Array<string> = []
      page.on("pageerror", (error) => problems.push(error.message))
      page.on("console", (message) => {
        if (message.type() === "error" && !/ERR_|status of (401|409)/.test(message.text()))
          problems.push(message.text())
      })
      page.on("request", (request) => {
        if (!request.url().startsWith(new URL(url).origin)) problems.push(`left the origin: ${request.url()}`)
      })
      await page.goto(url)
      return { page, problems }
    }),
    ({ page }) => Effect.promise(() => page.context().close())
  )

/** The row of a backend. */
export const rowOf = (page: Page, id: string) => page.locator(`.rows .row[data-id=${JSON.stringify(id)}]`)

/** Waits until a backend is shown in that state. */
export const shown = (page: Page, id: string, state: string | RegExp): Effect.Effect<void> =>
  Effect.promise(() => rowOf(page, id).locator(".state").filter({ hasText: state }).waitFor({ timeout: 20_000 }))
