/** The user's own servers behind the gateway, as their file says: a line for each change of a state, and of the file. */
import { ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import { Fleet, KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerTransport } from "@vmcp-keepalive/transport-stdio/peer"
import { Data, Effect, Result, Stream } from "effect"
import type { FileSystem, Path, Scope } from "effect"
import { basename } from "node:path"
import type { Endpoint } from "vmcp-keepalive"
import type { Entry } from "./Journal.ts"
import * as Report from "./Report.ts"
import * as Serving from "./Serving.ts"
import type { Style } from "./Style.ts"
import { shutdown } from "./World.ts"

/** The file was wrong when it was first read; its mistakes have been told. */
export class Unusable extends Data.TaggedError("Unusable") {}

export interface Options {
  readonly port: number | undefined
  readonly startedAt: number
  readonly style: Style
  /** takes a line of what happens */
  readonly say: (line: string) => void
  /** takes what is wrong, a mistake a line */
  readonly complain: (text: string) => void
  /** It can be reached now, and the file is taken. */
  readonly serves: (serving: Serving.Serving) => void
}

/** Keeps them until it is interrupted. A file that is wrong from the beginning ends it, a later mistake changes nothing. */
export const keep = (
  path: string,
  { complain, port, say, serves, startedAt, style }: Options
): Effect.Effect<void, Unusable | Endpoint.ListenError, FileSystem.FileSystem | Path.Path | Scope.Scope> => {
  const name = basename(path)
  const tell = (entry: Entry) => {
    const line = Report.line(entry, { startedAt, style, width: Math.max(12, name.length) })
    if (line !== undefined) say(line)
  }
  const observed = KeepaliveEvent.layerObserver((event) =>
    tell({ at: performance.now(), backend: event.backend, _tag: "Event", event })
  )
  const ofFile = (text: string) => tell({ at: performance.now(), backend: name, _tag: "Remark", kind: "told", text })

  return Effect.gen(function* () {
    const fleet = yield* Fleet.make<Peer.Peer>().pipe(
      Effect.provide([HttpPeerTransport.layer(), StdioPeerTransport.layer({ shutdown }), observed])
    )
    const serving = yield* Serving.make({ fleet, port })
    const taking: KeepaliveConfig.Taking = {
      // a tool that is to be hidden is hidden before its server is there
      apply: (specs) =>
        Effect.andThen(
          serving.show(new Map(specs.map(({ id, session, tools }) => [id, { session, tools }]))),
          fleet.apply(specs)
        )
    }
    let isTaken = false
    yield* KeepaliveConfig.follow(path, taking).pipe(
      Stream.runForEach((outcome) => {
        if (Result.isFailure(outcome)) {
          complain(outcome.failure.message)
          if (!isTaken) return new Unusable()
          ofFile(style.bad("wrong: what it said before goes on"))
          return Effect.void
        }
        if (!isTaken) serves(serving)
        isTaken = true
        const { changes, warnings } = outcome.success
        for (const warning of warnings) complain(`${ConfigFileError.format(path, warning)} (ignored)`)
        ofFile(changes.length === 0 ? "changes nothing" : Report.changes(changes))
        return Effect.void
      })
    )
  })
}
