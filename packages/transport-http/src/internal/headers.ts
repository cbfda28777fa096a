/**
 * The headers of the user: what they may be, and reading them.
 */
import { Evidence } from "@vmcp-keepalive/core"
import type { BackendError } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { reservedHeaders } from "./wire.ts"

/** Header names and their values. */
export type HeaderRecord = Readonly<Record<string, string | Redacted.Redacted<string>>>

/** Headers as they are, or an effect that gets them. */
export type HeaderSource<E, R> = HeaderRecord | Effect.Effect<HeaderRecord, E, R>

/** What is wrong with headers that are known beforehand. Values are not repeated. */
export const issues = (headers: HeaderRecord): ReadonlyArray<BackendError.ConfigurationIssue> =>
  Object.entries(headers).flatMap(([name, value]) => {
    const path = ["connector", "headers", name]
    if (reservedHeaders.has(name.toLowerCase())) return [{ path, expected: "a header that is not the protocol's own" }]
    return isHeader(name, reveal(value)) ? [] : [{ path, expected: "a header name and a value that HTTP allows" }]
  })

const isHeader = (name: string, value: string): boolean => {
  try {
    return new Headers([[name, value]]).has(name)
  } catch {
    return false
  }
}

const reveal = (value: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value

/**
 * Reads the headers. Credentials that cannot be had are the attempt's failure, `auth`, and no rejection by the server:
 * it is tried again like any other.
 */
export const read = <E, R>(source: HeaderSource<E, R>): Effect.Effect<Record<string, string>, Evidence.Evidence, R> =>
  (Effect.isEffect(source) ? source : Effect.succeed(source)).pipe(
    Effect.mapError(() => Evidence.transportFailure("auth")),
    Effect.flatMap((headers) => {
      const plain = Object.entries(headers).map(([name, value]): [string, string] => [name, reveal(value)])
      return plain.every(([name, value]) => isHeader(name, value))
        ? Effect.succeed(Object.fromEntries(plain))
        : Effect.fail(Evidence.transportFailure("auth"))
    })
  )
