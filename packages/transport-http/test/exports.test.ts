import { fileURLToPath } from "node:url"
import * as PublicExports from "@vmcp-keepalive/testkit/PublicExports"
import { assert, describe, expectTypeOf, it } from "vitest"
import type { HttpConnector, HttpTransport } from "../src/index.ts"
import type { HttpPeerConnector, HttpPeerTransport } from "../src/peer.ts"
import type { HttpConnector as HttpConnector2, HttpTransport as HttpTransport2 } from "../src/sdk2/index.ts"

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
    expectTypeOf<PublicExports.StrictFields<HttpConnector.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<HttpPeerConnector.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<HttpConnector2.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<HttpTransport2.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<HttpTransport.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<HttpPeerTransport.Options>>().toEqualTypeOf<never>()
    expectTypeOf<PublicExports.StrictFields<NonNullable<HttpConnector.Options["limits"]>>>().toEqualTypeOf<never>()
  })
})
