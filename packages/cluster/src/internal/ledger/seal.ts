/**
 * Encryption of what names a session: AES-256-GCM. Who can read the storage, or write to it, learns no session and makes none up.
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"

/** Whether a text is a key: 32 bytes in Base64, also in that of URLs. */
export const isKey = (text: string): boolean => /^[\w+/-]{42}[AEIMQUYcgkosw048]=?$/.test(text)

const algorithm = "aes-256-gcm"
const ivLength = 12
const tagLength = 16

export interface Seal {
  /** Encrypts it, for this backend: one text in no way twice. */
  readonly close: (backend: string, text: Redacted.Redacted<string>) => string
  /** Reads what was encrypted with the same key for the same backend, and nothing else. */
  readonly open: (backend: string, sealed: string) => Option.Option<Redacted.Redacted<string>>
}

export const make = (secret: Redacted.Redacted<string>): Seal => {
  const key = Buffer.from(Redacted.value(secret), "base64")
  return {
    close: (backend, text) => {
      const iv = randomBytes(ivLength)
      const cipher = createCipheriv(algorithm, key, iv).setAAD(Buffer.from(backend))
      const encrypted = Buffer.concat([cipher.update(Redacted.value(text), "utf8"), cipher.final()])
      return Buffer.concat([iv, cipher.getAuthTag(), encrypted]).toString("base64")
    },
    open: (backend, sealed) => {
      const bytes = Buffer.from(sealed, "base64")
      const tag = bytes.subarray(ivLength, ivLength + tagLength)
      if (tag.length < tagLength) return Option.none()
      const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, ivLength))
        .setAAD(Buffer.from(backend))
        .setAuthTag(tag)
      return Option.liftThrowable(() => {
        const text = decipher.update(bytes.subarray(ivLength + tagLength))
        return Redacted.make(Buffer.concat([text, decipher.final()]).toString())
      })()
    }
  }
}
