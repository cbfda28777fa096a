/**
 * Ids of sessions that say with what a host has initialized, signed: a gateway that never saw one can open the session again, and what
 * it did not sign opens none.
 */
import type * as SessionEndpoint from "@vmcp-keepalive/host/endpoint"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"

/** What they are made of. */
export interface Options {
  /** 32 bytes that nobody else knows */
  readonly key: Uint8Array
  /** how long after it was made an id opens a session again */
  readonly lifetime: Duration.Duration
  readonly clock: Clock.Clock
  /** Is told once when a handshake is too long to stand in an id, so that its session ends with this gateway. */
  readonly onUnsigned: () => void
}

/** Headers are at most 16 KiB in Node, and less in proxies. In bytes of the parameters as JSON. */
const mostWords = 3000

/** See the module. */
export const make = ({ clock, key, lifetime, onUnsigned }: Options): SessionEndpoint.Ids => {
  const sign = (body: string): string => createHmac("sha256", key).update(body).digest("base64url")
  let isTold = false
  return {
    make: (params) => {
      const words = Buffer.from(JSON.stringify(params))
      const nonce = randomBytes(16).toString("base64url")
      if (words.length > mostWords) {
        if (!isTold) onUnsigned()
        isTold = true
        return nonce
      }
      const madeAt = Math.floor(clock.currentTimeMillisUnsafe() / 1000).toString(36)
      const body = `${nonce}.${madeAt}.${words.toString("base64url")}`
      return `${body}.${sign(body)}`
    },
    resume: (id) => {
      const at = id.lastIndexOf(".")
      const body = id.slice(0, at)
      // as it is written: otherwise one signature had many spellings, and a session that its host has ended another id
      const [given, own] = [Buffer.from(id.slice(at + 1)), Buffer.from(sign(body))]
      if (at === -1 || given.length !== own.length || !timingSafeEqual(given, own)) return undefined
      const [, madeAt = "", words = ""] = body.split(".")
      const age = clock.currentTimeMillisUnsafe() - Number.parseInt(madeAt, 36) * 1000
      if (!(age <= Duration.toMillis(lifetime))) return undefined
      const params = Message.parse(Buffer.from(words, "base64url").toString())
      return Message.isObject(params) ? params : undefined
    }
  }
}
