/**
 * A session as it is written down for another process, which ends it where this one cannot: what names it, and whose server it is of.
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { SessionIdentity, Wire } from "./wire.ts"

const Written = Schema.fromJsonString(
  Schema.Struct({
    server: Schema.String,
    sessionId: Schema.String,
    protocolVersion: Schema.optionalKey(Schema.String)
  })
)

const decode = Schema.decodeUnknownOption(Written)

/** Without the query, which may carry credentials that change while the server remains the same. */
const serverOf = ({ endpoint }: Wire): string => `${endpoint.origin}${endpoint.pathname}`

const write = (wire: Wire): Redacted.Redacted<string> =>
  Redacted.make(JSON.stringify({ server: serverOf(wire), ...wire.identity }))

/** A session of a server, and who is told when it is over. */
export interface Kept {
  readonly identity: SessionIdentity
  readonly ended: () => void
}

/** The session of the wire, as its host remembers it. */
export const of = (wire: Wire): Kept => {
  const { sessions } = wire.host
  const written = write(wire)
  return { identity: wire.identity, ended: () => sessions?.ended(written) }
}

/** Tells the host that the server keeps a session, where it does. */
export const remember = (wire: Wire): void => {
  if (wire.sessionId !== undefined) wire.host.sessions?.began(write(wire))
}

/** Those that others have left with the same server: their ids are for no other one. */
export const left = (wire: Wire): ReadonlyArray<Kept> => {
  const { sessions } = wire.host
  if (sessions === undefined) return []
  return sessions.left.flatMap((written) =>
    Option.match(decode(Redacted.value(written)), {
      onNone: () => [],
      onSome: ({ protocolVersion, server, sessionId }) =>
        server === serverOf(wire)
          ? [{ identity: { protocolVersion, sessionId }, ended: () => sessions.ended(written) }]
          : []
    })
  )
}
