/**
 * How a server is reached, as its entry says it in the words of any host.
 */
import * as Redacted from "effect/Redacted"
import type { HttpSettings, Settings, StdioSettings, Text } from "../BackendSpec.ts"
import { type Entry, kinds, maxLength } from "./entry.ts"
import { expand, type Surroundings } from "./expand.ts"
import type { Findings, Place } from "./findings.ts"

/** What an entry is read with. */
export interface Reading {
  readonly surroundings: Surroundings
  readonly findings: Findings
  readonly place: Place
  /** a server that is off may lack variables and have a transport that is not supported: that is a warning then */
  readonly isEnabled: boolean
}

/** The settings; `undefined`, with the mistakes told, where there are none. */
export const of = (entry: Entry, reading: Reading): Settings | undefined => {
  const { findings, place } = reading
  const word = entry.type ?? entry.transport
  if (entry.type !== undefined && entry.transport !== undefined && kindOf(entry.type) !== kindOf(entry.transport)) {
    findings.mistake([...place, "transport"], "the same as type, or nothing")
  }
  const urls = (["url", "httpUrl", "serverUrl"] as const).filter((key) => entry[key] !== undefined)
  const kind = word === undefined ? (urls.length > 0 ? "http" : "stdio") : kindOf(word)
  if (kind === "unsupported") {
    const at = [...place, entry.type === undefined ? "transport" : "type"]
    tell(reading, at, `http or stdio: there is no transport for ${word}`)
    return undefined
  }
  return kind === "http" ? httpOf(entry, urls, reading) : stdioOf(entry, urls, reading, word === undefined)
}

const kindOf = (word: string): keyof typeof kinds =>
  (["http", "stdio"] as const).find((kind) => kinds[kind].some((each) => each === word)) ?? "unsupported"

const tell = ({ findings, isEnabled }: Reading, place: Place, expected: string): void =>
  isEnabled ? findings.mistake(place, expected) : findings.warning(place, expected)

/** What belongs to the other kind of server. */
const refuse = (entry: Entry, keys: ReadonlyArray<keyof Entry>, why: string, { findings, place }: Reading): void => {
  for (const key of keys) if (entry[key] !== undefined) findings.mistake([...place, key], `nothing here, since ${why}`)
}

// --------------------------------------------------------------------------------------------------------------- texts

interface Read {
  readonly text: string
  readonly isSecret: boolean
  /** whether all of it is known */
  readonly isWhole: boolean
}

const read = (text: string, at: Place, reading: Reading): Read => {
  const { isSecret, mistakes, text: expanded, unset } = expand(text, reading.surroundings)
  for (const expected of mistakes) tell(reading, at, expected)
  for (const name of unset) tell(reading, at, `the variable ${name} to be set in the environment`)
  if (expanded.length > maxLength) reading.findings.mistake(at, `at most ${maxLength} characters, once it is expanded`)
  return { text: expanded, isSecret, isWhole: mistakes.length === 0 && unset.length === 0 }
}

const textOf = (text: string, at: Place, reading: Reading): Text => {
  const { isSecret, text: expanded } = read(text, at, reading)
  return isSecret ? Redacted.make(expanded) : expanded
}

const fromVariable = (name: string, { surroundings }: Reading) => surroundings.variable(name)

// ---------------------------------------------------------------------------------------------------------------- http

const ofChildren = ["command", "args", "cwd", "env", "envFile", "env_vars"] as const

const httpOf = (entry: Entry, urls: ReadonlyArray<"url" | "httpUrl" | "serverUrl">, reading: Reading) => {
  const { findings, place } = reading
  refuse(entry, ofChildren, "this server speaks HTTP", reading)
  const [key, ...others] = urls
  for (const other of others) findings.mistake([...place, other], `only one of ${urls.join(", ")}`)
  const headers = headersOf(entry, reading)
  if (key === undefined) {
    findings.mistake(place, "url, since this server speaks HTTP")
    return undefined
  }
  const { isWhole, text } = read(entry[key] ?? "", [...place, key], reading)
  if (isWhole && !isEndpoint(text)) {
    findings.mistake(
      [...place, key],
      "an absolute http: or https: URL without user name and password (those go into headers)"
    )
  }
  const settings: HttpSettings = { kind: "http", url: Redacted.make(text), headers }
  return settings
}

const isEndpoint = (text: string): boolean => {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === ""
}

const headersOf = (entry: Entry, reading: Reading): HttpSettings["headers"] => {
  const { findings, place } = reading
  const headers = new Map<string, readonly [string, Redacted.Redacted<string>]>()
  const add = (name: string, value: string, at: Place, index?: number) => {
    const where = index === undefined ? at : [...at, name]
    if (!isHeader(name, "")) {
      // what stands where a name should may be a whole header
      findings.mistake(index === undefined ? at : [...at, `#${index + 1}`], "the name of a header, without its value")
    } else if (headers.has(name.toLowerCase())) findings.mistake(where, "each header once, whatever its case")
    else if (!isHeader(name, value)) findings.mistake(where, "a value that HTTP allows in a header")
    else headers.set(name.toLowerCase(), [name, Redacted.make(value)])
  }
  for (const key of ["headers", "http_headers"] as const) {
    for (const [index, [name, value]] of Object.entries(entry[key] ?? {}).entries()) {
      const at = [...place, key, isHeader(name, "") ? name : `#${index + 1}`]
      add(name, read(value, at, reading).text, [...place, key], index)
    }
  }
  for (const [index, [name, variable]] of Object.entries(entry.env_http_headers ?? {}).entries()) {
    const at = [...place, "env_http_headers"]
    const value = fromVariable(variable, reading)
    // who took the value for the name of a variable is not to be without a header
    if (!isVariable(variable))
      findings.mistake([...at, isHeader(name, "") ? name : `#${index + 1}`], "the name of a variable")
    else if (value !== undefined) add(name, value, at, index)
  }
  const bearer = entry.bearer_token_env_var
  if (bearer !== undefined) {
    const at = [...place, "bearer_token_env_var"]
    const value = fromVariable(bearer, reading)
    if (!isVariable(bearer)) findings.mistake(at, "the name of a variable")
    // it is not repeated: who took it for the token itself wrote a secret there
    else if (value === undefined) tell(reading, at, "the variable that it names to be set in the environment")
    else add("Authorization", `Bearer ${value}`, at)
  }
  return Object.fromEntries(headers.values())
}

const isHeader = (name: string, value: string): boolean => {
  try {
    return new Headers([[name, value]]).has(name)
  } catch {
    return false
  }
}

// --------------------------------------------------------------------------------------------------------------- stdio

const ofRequests = ["headers", "http_headers", "env_http_headers", "bearer_token_env_var"] as const

const stdioOf = (
  entry: Entry,
  urls: ReadonlyArray<"url" | "httpUrl" | "serverUrl">,
  reading: Reading,
  isGuess: boolean
): StdioSettings | undefined => {
  const { findings, place } = reading
  const { args = [], command, cwd } = entry
  if (command === undefined) {
    findings.mistake(place, isGuess ? "url (HTTP) or command (stdio)" : "command, since this server speaks stdio")
    return undefined
  }
  refuse(entry, [...urls, ...ofRequests], "this server speaks stdio", reading)
  return {
    kind: "stdio",
    command: textOf(command, [...place, "command"], reading),
    args: args.map((arg, index) => textOf(arg, [...place, "args", index], reading)),
    cwd: cwd === undefined ? undefined : textOf(cwd, [...place, "cwd"], reading),
    env: envOf(entry, reading)
  }
}

const envOf = (entry: Entry, reading: Reading): StdioSettings["env"] => {
  const { findings, place } = reading
  const all = new Map<string, string>(Object.entries(fileOf(entry, reading)))
  for (const [index, name] of (entry.env_vars ?? []).entries()) {
    const value = fromVariable(name, reading)
    if (!isVariable(name)) findings.mistake([...place, "env_vars", index], "the name of a variable")
    else if (value !== undefined) all.set(name, value)
  }
  for (const [index, [name, value]] of Object.entries(entry.env ?? {}).entries()) {
    if (isVariable(name)) all.set(name, read(value, [...place, "env", name], reading).text)
    else findings.mistake([...place, "env", `#${index + 1}`], "the name of a variable, without its value")
  }
  return Object.fromEntries([...all].map(([name, value]) => [name, Redacted.make(value)]))
}

/** What a shell could name as well is more than is allowed: Windows has `ProgramFiles(x86)`. */
const isVariable = (name: string): boolean => /^[^=\s\p{Cc}]{1,256}$/u.test(name)

const fileOf = ({ envFile }: Entry, reading: Reading): Readonly<Record<string, string>> => {
  if (envFile === undefined) return {}
  const at = [...reading.place, "envFile"]
  const { isWhole, text } = read(envFile, at, reading)
  if (!isWhole) return {}
  if (!reading.surroundings.readsFiles) {
    reading.findings.warning(at, "to be loaded from a file: a text alone does not read others")
    return {}
  }
  const variables = reading.surroundings.envFile(text)
  if (variables === undefined) tell(reading, at, "a file of variables that can be read, of at most 1 MiB")
  return variables ?? {}
}
