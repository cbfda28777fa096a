import { fileURLToPath } from "node:url"
import * as PublicExports from "@vmcp-keepalive/testkit/PublicExports"
import { assert, describe, expectTypeOf, it } from "vitest"
import type { StdioConnector, StdioTransport } from "../src/index.ts"
import type { StdioPeerConnector, StdioPeerTransport } from "../src/peer.ts"
import type { StdioConnector as Sdk2Connector, StdioTransport as Sdk2Transport } from "../src/sdk2/index.ts"

const folder = fileURLToPath(new URL("..", import.meta.url))

describe("what this package exports", () => {
  it("is what exports.txt pins", () => {
    assert.deepStrictEqual(PublicExports.changes(folder), [], PublicExports.advice)
  })

  it("says since which version it is there", () => {
    assert.deepStrictEqual(PublicExports.withoutSince(folder), [])
  })

  it("accepts undefined for every optional field, as if it were left out", () => {
    assert.deepStrictEqual(PublicExports.strictFields(folder), [])
    expectTypeOf<PublicExports.StrictFields<StdioConnector.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<StdioPeerConnector.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<Sdk2Connector.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<Sdk2Transport.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<StdioTransport.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<StdioPeerTransport.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<NonNullable<StdioConnector.Options["shutdown"]>>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<NonNullable<StdioConnector.Options["stderr"]>>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<NonNullable<StdioConnector.Options["limits"]>>>().toEqualTypeOf<never>()
  })
})
