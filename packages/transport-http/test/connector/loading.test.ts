/** undici: loaded where it is used and not before, also in a bundle. */
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import * as Bundled from "../../src/internal/http/bundled.ts"
import * as Loading from "../../src/internal/http/loading.ts"

/** Tries to open a session in a process of its own; the URLs of all that was loaded before that, and meanwhile. */
const loadedWith = async (options: string) => {
  const program = `
    import { registerHooks } from "node:module"
    const loaded = []
    registerHooks({
      load: (url, context, next) => {
        loaded.push(url)
        return next(url, context)
      }
    })
    const { Effect, Exit } = await import("effect")
    const { HttpConnector } = await import("@vmcp-keepalive/transport-http")
    const connector = HttpConnector.make(${options})
    const before = loaded.length
    const host = { alive: () => 0, observe() {}, lost() {}, output() {}, notice() {}, listChanged() {}, subscriptions: new Set() }
    const exit = await Effect.runPromiseExit(Effect.scoped(connector.open(host)))
    console.log(JSON.stringify({ before: loaded.slice(0, before), meanwhile: loaded.slice(before), exit: exit._tag }))
  `
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: new URL("../../", import.meta.url)
  })
  const said: { readonly before: Array<string>; readonly meanwhile: Array<string>; readonly exit: string } =
    JSON.parse(stdout)
  expect(said.exit).toBe("Failure")
  const ofUndici = (urls: ReadonlyArray<string>) => urls.some((url) => url.includes("/node_modules/undici/"))
  return { before: ofUndici(said.before), meanwhile: ofUndici(said.meanwhile) }
}

describe("undici", () => {
  const nowhere = `url: "http://127.0.0.1:1/mcp"`

  it("is loaded by the first session that sends through it, not by the import of the package", async () => {
    expect(await loadedWith(`{ ${nowhere} }`)).toEqual({ before: false, meanwhile: true })
    expect(await loadedWith(`{ ${nowhere}, proxy: "http://127.0.0.1:1" }`)).toEqual({ before: false, meanwhile: true })
  })

  it("is not loaded where a fetch or a dispatcher of the user's sends", async () => {
    const none = { before: false, meanwhile: false }
    expect(await loadedWith(`{ ${nowhere}, fetch: () => Promise.reject(new Error("no")) }`)).toEqual(none)
    const refusing = `{ dispatch: (_, handler) => { handler.onResponseError(undefined, new Error("no")); return true } }`
    expect(await loadedWith(`{ ${nowhere}, dispatcher: ${refusing} }`)).toEqual(none)
  })

  it.effect("that cannot be loaded fails the attempt, with words that say so", () =>
    Effect.gen(function* () {
      const missing = Object.assign(new Error("Cannot find package 'undici'"), { code: "ERR_MODULE_NOT_FOUND" })
      const evidence = yield* Effect.flip(Loading.load(() => Promise.reject(missing)))
      assert.deepStrictEqual(evidence, {
        _tag: "TransportFailure",
        reason: "unknown",
        detail: { summary: "undici cannot be loaded", output: [] },
        code: "ERR_MODULE_NOT_FOUND"
      })
    })
  )
})

describe("what undici requires in a bundle as an ES module", () => {
  const bundle = "file:///app/app.mjs"

  it("is Node's own modules and nothing else", () => {
    const global: { require?: (id: string) => unknown } = {}
    Bundled.provideRequire(bundle, global)
    expect(global.require?.("node:assert")).toBe(process.getBuiltinModule("node:assert"))
    expect(() => global.require?.("express")).toThrow('Dynamic require of "express" is not supported')
  })

  it("is left alone where there is a require already, where nobody has bundled, and in a bundle as CommonJS", async () => {
    const own = { require: () => "own" }
    Bundled.provideRequire(bundle, own)
    expect(own.require()).toBe("own")
    const urls = [
      undefined,
      import.meta.resolve("../../src/internal/http/bundled.ts"),
      `${bundle}/internal/http/bundled.js`
    ]
    for (const url of urls) {
      const global = {}
      Bundled.provideRequire(url, global)
      expect(global).not.toHaveProperty("require")
    }
    await Effect.runPromise(Loading.connections)
    expect(globalThis).not.toHaveProperty("require")
  })
})
