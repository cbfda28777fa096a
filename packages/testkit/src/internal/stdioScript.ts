/** What the scripted stdio server is told in an argument. Without imports, as it is to start in a moment. */

/** How the server deviates from a good one. At its start things happen in the order in which they stand here. */
export interface Script {
  /** It goes on after SIGTERM. */
  readonly ignoreTerm?: boolean
  /**
   * It goes on for ten minutes after stdin has ended; else it ends then with code 0, once it has answered what is under
   * way.
   */
  readonly ignoreEof?: boolean
  /**
   * It starts a process that inherits its stdout and stderr and sleeps for ten minutes: in its own process group, or
   * (`detached`) in a session and a group of its own.
   */
  readonly grandchild?: Grandchild
  /** It writes these lines to stderr. */
  readonly stderr?: ReadonlyArray<string>
  /**
   * What it writes to stdout that is no JSON-RPC. `start`: three lines (text, JSON, none) before anything else;
   * `between`: a line of text and one of JSON before each answer; `prefix`: `Loading...` directly before each answer,
   * on the same line.
   */
  readonly garbage?: "start" | "between" | "prefix"
  /** It does nothing for so many milliseconds; what it was sent meanwhile it reads then. */
  readonly startDelay?: number
  /**
   * It writes so many bytes to stderr, in numbered lines of 80 bytes (the last is whole) and after them `flood end`,
   * as fast as they are read; it answers meanwhile.
   */
  readonly stderrFlood?: number
  /** It exits with this code once everything above is written. */
  readonly exit?: number
  /** It exits with code 3 when a request of that method arrives, without an answer. */
  readonly dieOn?: "initialize" | "server/discover"
  /** It does not answer requests of that method. */
  readonly silentOn?: "server/discover"
  /** It declares prompts and resources beside its tools; which they are is what the tool `list` was told last. */
  readonly lists?: boolean
  /** It reads everything, and answers and executes nothing. */
  readonly silent?: boolean
}

export type Grandchild = "group" | "detached"

type Check = (value: unknown) => boolean
const boolean: Check = (value) => typeof value === "boolean"
const count: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0
const oneOf =
  (...values: ReadonlyArray<string>): Check =>
  (value) =>
    values.some((one) => one === value)

const fields: Readonly<Record<keyof Script, Check>> = {
  ignoreTerm: boolean,
  ignoreEof: boolean,
  grandchild: oneOf("group", "detached"),
  stderr: (value) => Array.isArray(value) && value.every((line) => typeof line === "string"),
  garbage: oneOf("start", "between", "prefix"),
  startDelay: count,
  exit: (value) => count(value) && Number(value) < 256,
  stderrFlood: count,
  dieOn: oneOf("initialize", "server/discover"),
  silentOn: oneOf("server/discover"),
  lists: boolean,
  silent: boolean
}
const checks = new Map<string, Check>(Object.entries(fields))

/** Throws with the name of the field that is unknown or has a wrong value. */
export const decode = (json: string): Script => {
  const value: unknown = JSON.parse(json)
  if (!isScript(value)) throw new TypeError(`No object: ${json}`)
  return value
}

const isScript = (value: unknown): value is Script => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  for (const [name, field] of Object.entries(value))
    if (checks.get(name)?.(field) !== true)
      throw new TypeError(`The script's ${name} cannot be ${JSON.stringify(field)}`)
  return true
}
