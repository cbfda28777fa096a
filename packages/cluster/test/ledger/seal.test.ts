import { assert, describe, it } from "@effect/vitest"
import { Option, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import * as Seal from "../../src/internal/ledger/seal.ts"

const key = () => Redacted.make(randomBytes(32).toString("base64"))
const session = Redacted.make("a session's id")

describe("what is sealed", () => {
  it("is read with the same key for the same backend, and is another text each time", () => {
    const secret = key()
    const { close } = Seal.make(secret)
    const [one, two] = [close("tools", session), close("tools", session)]
    assert.notStrictEqual(one, two)
    for (const text of [one, two]) {
      assert.notInclude(Buffer.from(text, "base64").toString("latin1"), Redacted.value(session))
      assert.deepStrictEqual(Seal.make(secret).open("tools", text), Option.some(session))
    }
  })

  it("is nothing with another key, for another backend, and where a bit of it is another one", () => {
    const { close, open } = Seal.make(key())
    const sealed = close("tools", session)
    assert.isTrue(Option.isNone(Seal.make(key()).open("tools", sealed)))
    assert.isTrue(Option.isNone(open("others", sealed)))
    const bytes = Buffer.from(sealed, "base64")
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = changed[at]! ^ 1
      assert.isTrue(Option.isNone(open("tools", changed.toString("base64"))), `byte ${at}`)
    }
    for (let length = 0; length < bytes.length; length++)
      assert.isTrue(Option.isNone(open("tools", bytes.subarray(0, length).toString("base64"))), `${length} bytes`)
  })
})

describe("a key", () => {
  it("is 32 bytes in Base64, or in that of URLs, and nothing else", () => {
    const bytes = Buffer.alloc(32, 0xfb)
    for (const text of [bytes.toString("base64"), bytes.toString("base64url")]) {
      assert.isTrue(Seal.isKey(text), text)
      assert.strictEqual(Buffer.from(text, "base64").length, 32)
    }
    for (const length of [0, 16, 31, 33, 64]) assert.isFalse(Seal.isKey(randomBytes(length).toString("base64")))
    assert.isFalse(Seal.isKey(randomBytes(32).toString("hex")))
    assert.isFalse(Seal.isKey(`${"-".repeat(43)}=`))
    assert.isFalse(Seal.isKey(` ${bytes.toString("base64")}`))
  })
})
