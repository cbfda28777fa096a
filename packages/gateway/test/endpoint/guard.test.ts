/** Who may ask. */
import { Redacted } from "effect"
import { assert, describe, it } from "vitest"
import * as Guard from "../../src/internal/endpoint/guard.ts"

const ask = (host: string | undefined, origin?: string, authorization?: string): Guard.Asking => ({
  host,
  origin,
  authorization
})

describe("a request", () => {
  const rules = { allowedHosts: ["gateway.example", "fe80::1"] }

  it.each([
    ["127.0.0.1:8931", undefined, undefined],
    ["LOCALHOST", undefined, undefined],
    ["[::1]:8931", undefined, undefined],
    ["gateway.example", undefined, undefined],
    ["[fe80::1]:1", undefined, undefined],
    ["localhost:1", "http://localhost:1", undefined],
    ["gateway.example", "https://gateway.example", undefined],
    // a proxy in front that passes on what it was asked by, and one that asks by the address of the gateway
    ["gateway.example:8443", "https://gateway.example:8443", undefined],
    ["127.0.0.1:8931", "https://gateway.example", 403],
    ["evil.example", undefined, 403],
    ["localhost.evil.example", undefined, 403],
    ["localhost@evil.example", undefined, 403],
    ["", undefined, 403],
    [undefined, undefined, 403],
    ["localhost:1", "http://evil.example", 403],
    ["localhost:1", "http://localhost:2", 403],
    ["localhost:1", "null", 403],
    ["evil.example", "http://evil.example", 403]
  ])("for %s from %s: %s", (host, origin, status) => {
    assert.strictEqual(Guard.refusal(ask(host, origin), rules), status)
  })

  it.each([
    [undefined, 401],
    ["", 401],
    ["secret", 401],
    ["Basic secret", 401],
    ["Bearer wrong", 401],
    ["Bearer secret and more", 401],
    ["Bearer secret", undefined],
    ["bearer secret", undefined]
  ])("with the authorization %s, where a token is wanted: %s", (authorization, status) => {
    const token = Redacted.make("secret")
    assert.strictEqual(Guard.refusal(ask("localhost", undefined, authorization), { ...rules, token }), status)
  })
})
