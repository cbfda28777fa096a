/**
 * Takes secrets out of lines of text.
 */
import * as Redacted from "effect/Redacted"

const mark = "<redacted>"

/** A line of a secret that is shorter stands in other texts, too: a brace of JSON, for example. */
const shortestPart = 4

/** What must not be shown. A secret of several lines is shown as several, so that each of them is a secret. */
export const secretsOf = (given: ReadonlyArray<Redacted.Redacted<string>>): ReadonlyArray<string> =>
  given.map(Redacted.value).flatMap((secret) => {
    const parts = secret.split(/\r?\n/)
    return parts.length === 1
      ? parts.filter((part) => part !== "")
      : parts.filter(({ length }) => length >= shortestPart)
  })

/** The first `end` characters of a text, without the secrets that begin in them; also where secrets overlap. */
export const redact = (text: string, secrets: ReadonlyArray<string>, end = text.length): string => {
  let shown = ""
  let at = 0
  const found = secrets.flatMap((secret) => rangesOf(text, secret)).toSorted((one, other) => one.from - other.from)
  for (const { from, to } of found) {
    if (from >= end) break
    if (from >= at) shown += text.slice(at, from) + mark
    at = Math.max(at, to)
  }
  return shown + text.slice(at, Math.max(at, end))
}

interface Range {
  readonly from: number
  readonly to: number
}

const rangesOf = (text: string, secret: string): ReadonlyArray<Range> => {
  const ranges: Array<Range> = []
  for (let from = text.indexOf(secret); from !== -1; from = text.indexOf(secret, from + 1))
    ranges.push({ from, to: from + secret.length })
  return ranges
}
