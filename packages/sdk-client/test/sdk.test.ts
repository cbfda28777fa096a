/** Which version of the SDK a suite runs on: the lowest of `peerDependencies`, or the newest. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { readFileSync } from "node:fs"
import { describe, expect, inject, it } from "vitest"
import { CallView } from "../src/index.ts"

const manifest = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"))

describe(`the suite "${inject("sdk")}"`, () => {
  it("runs on that version, and so does what it tests", async () => {
    const own: typeof import("@modelcontextprotocol/sdk/client/index.js") = await import(
      inject("sdk") === "lowest" ? "sdk-lowest/client/index.js" : "@modelcontextprotocol/sdk/client/index.js"
    )
    expect(Client).toBe(own.Client)
    expect(CallView.defaultClient()).toBeInstanceOf(own.Client)
  })
})

describe("the lowest version that is tested", () => {
  it("is the lowest of the range that users may install", () => {
    const range: string = manifest("../package.json").peerDependencies["@modelcontextprotocol/sdk"]
    expect(range).toBe(`^${manifest("../node_modules/sdk-lowest/package.json").version}`)
  })
})
