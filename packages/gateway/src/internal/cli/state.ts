/** The folder of what outlives the gateway: the operator's token, the key that signs session ids, the last lists of the servers. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { randomBytes } from "node:crypto"
import { homedir } from "node:os"
import { plain } from "./style.ts"
import { fail, type Told } from "./told.ts"

/** The variables of the environment that it takes. */
export const variables = { operator: "VMCP_OPERATOR_TOKEN", client: "VMCP_CLIENT_TOKEN" } as const

/** What is in it. */
export interface State {
  readonly folder: string
  readonly operatorToken: Redacted.Redacted<string>
  /** where the operator's token stands; `undefined` where it came from the environment */
  readonly tokenFile: string | undefined
  /** signs the ids of hosts' sessions, so that they outlive this process */
  readonly sessionKey: Redacted.Redacted<Uint8Array>
  /** what hosts send as `Authorization: Bearer`, where it is asked for */
  readonly clientToken: Redacted.Redacted<string> | undefined
}

/** Makes the folder where it is not there yet. Fails, with a line, where it cannot be used, or a variable is no token. */
export const make = Effect.fn(function* (given: Option.Option<string>) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  // an empty one would be the folder in which this was started
  if (Option.isSome(given) && given.value === "") return yield* fail("--state takes a folder")
  const folder = Option.isSome(given) ? path.resolve(given.value) : yield* defaultFolder
  const cannot = (error: PlatformError) =>
    fail(
      `the state folder ${plain(folder)} cannot be used: ${error.reason._tag}; name one that can be written with --state DIR`
    )
  yield* files.makeDirectory(folder, { recursive: true, mode: 0o700 }).pipe(Effect.catch(cannot))
  yield* files.access(folder, { readable: true, writable: true }).pipe(Effect.catch(cannot))
  const operator = yield* tokenOf(variables.operator)
  const clientToken = yield* tokenOf(variables.client)
  const secretOf = (name: string) =>
    Effect.gen(function* () {
      const file = path.join(folder, name)
      const text = yield* generated(files, file).pipe(Effect.catch(cannot))
      return isToken(text) ? text : yield* fail(`${plain(file)} holds no secret: remove it, and a new one is made`)
    })
  const sessionKey = Redacted.make<Uint8Array>(Buffer.from(yield* secretOf("session-key"), "base64url"))
  if (operator !== undefined) {
    const state: State = { folder, operatorToken: operator, tokenFile: undefined, sessionKey, clientToken }
    return state
  }
  const tokenFile = path.join(folder, "operator-token")
  const operatorToken = Redacted.make(yield* secretOf("operator-token"))
  const state: State = { folder, operatorToken, tokenFile, sessionKey, clientToken }
  return state
})

/** As the XDG Base Directory Specification has it. */
const defaultFolder = Effect.gen(function* () {
  const path = yield* Path.Path
  const base = yield* Config.String("XDG_STATE_HOME").pipe(Effect.orElseSucceed(() => ""))
  // a relative one is to be ignored
  if (path.isAbsolute(base)) return path.join(base, "vmcp-keepalive")
  // a user whom the system does not know has none, and where HOME is empty it would be the folder in which this was started
  const home = yield* Effect.orElseSucceed(Effect.try(homedir), () => "")
  if (path.isAbsolute(home)) return path.join(home, ".local", "state", "vmcp-keepalive")
  return yield* fail("this user has no home, and so no state folder: name one that can be written with --state DIR")
})

/** Of two gateways that start at once, one makes it, and both use it: the other one may look before it is written. */
const generated = (files: FileSystem.FileSystem, file: string) =>
  files.writeFileString(file, `${randomBytes(32).toString("base64url")}\n`, { flag: "wx", mode: 0o600 }).pipe(
    Effect.catchIf(
      ({ reason }) => reason._tag === "AlreadyExists",
      () => Effect.void
    ),
    Effect.andThen(
      Effect.repeat(
        Effect.map(files.readFileString(file), (text) => text.trim()),
        { schedule: Schedule.spaced("20 millis"), until: (text) => text !== "", times: 50 }
      )
    )
  )

/** What a header can carry, and nobody guesses. */
const isToken = (text: string): boolean => /^[\x21-\x7E]{16,512}$/.test(text)

/** One that is set and is none is a mistake, and never as if it were not set: that would open what it is to close. */
const tokenOf = (name: string): Effect.Effect<Redacted.Redacted<string> | undefined, Told> =>
  Effect.suspend(() => {
    // not through Config, to which a variable that is empty is none
    const text = process.env[name]
    if (text === undefined) return Effect.undefined
    return isToken(text)
      ? Effect.succeed(Redacted.make(text))
      : fail(`${name} is set, and is no token: it takes 16 to 512 visible ASCII characters`)
  })
