/**
 * The headers of the user: what they may be, and reading them.
 */
import { Evidence, FailureDetail } from "@vmcp-keepalive/core"
import type { BackendError } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { reservedHeaders } from "./wire.ts"

/** Header names and their values. */
export type HeaderRecord = Readonly<Record<string, string | Redacted.Redacted<string>>>

/** Headers as they are, or an effect that gets them. */
export type HeaderSource<E, R> = HeaderRecord | Effect.Effect<HeaderRecord, E, R>

/** What is wrong with headers that are known beforehand. Values are not repeated, nor what stands where a name should. */
export const issues = (headers: HeaderRecord): ReadonlyArray<BackendError.ConfigurationIssue> =>
  Object.entries(headers).flatMap(([name, value], index) => {
    const path = ["connector", "headers"]
    if (!isName(name))
      return [{ path: [...path, `#${index + 1}`], expected: "the name of a header, without its value" }]
    if (reservedHeaders.has(name.toLowerCase()))
      return [{ path: [...path, name], expected: "a header that is not the protocol's own" }]
    return isHeader(name, reveal(value)) ? [] : [{ path: [...path, name], expected: "a value that HTTP allows" }]
  })

const isName = (name: string): boolean => isHeader(name, "")

const isHeader = (name: string, value: string): boolean => {
  try {
    return new Headers([[name, value]]).has(name)
  } catch {
    return false
  }
}

/** The text itself. */
export const reveal = (value: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value

/**
 * Reads the headers; their names in lower case. Credentials that cannot be had are the attempt's failure, `auth`, and no
 * rejection by the server: it is tried again like any other.
 */
export const read = <E, R>(source: HeaderSource<E, R>): Effect.Effect<Record<string, string>, Evidence.Evidence, R> =>
  (Effect.isEffect(source) ? source : Effect.succeed(source)).pipe(
    // also if it dies, or joins something that was interrupted
    Effect.catchCause((cause) => Effect.fail(Evidence.transportFailure("auth", FailureDetail.ofCause(cause)))),
    Effect.flatMap((headers) => {
      const plain = Object.entries(headers).map(([name, value]): [string, string] => [name, reveal(value)])
      return plain.every(([name, value]) => isHeader(name, value))
        ? Effect.succeed(sendable(plain))
        : Effect.fail(Evidence.transportFailure("auth", notAllowed))
    })
  )

/** Those that may be sent: none of the protocol's own. Values as HTTP has them, without space around them. */
export const sendable = (headers: Iterable<readonly [string, string]>): Record<string, string> => {
  const names: Record<string, string> = {}
  for (const [name, value] of headers) {
    if (!reservedHeaders.has(name.toLowerCase())) names[name.toLowerCase()] = value.trim()
  }
  return names
}

const notAllowed: FailureDetail.FailureDetail = { summary: "a header that HTTP does not allow", output: [] }
