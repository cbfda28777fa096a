/** The user's own servers, kept alive as their file says: a line for each change of a state, and of the file. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import { Fleet, KeepaliveEvent } from "@vmcp-keepalive/core"
import { HttpTransport } from "@vmcp-keepalive/transport-http"
import { StdioTransport } from "@vmcp-keepalive/transport-stdio"
import { Data, Effect, Layer, Result, Stream } from "effect"
import type { FileSystem, Path, Scope } from "effect"
import { basename } from "node:path"
import type { Entry } from "./Journal.ts"
import * as Report from "./Report.ts"
import type { Style } from "./Style.ts"

/** The file was wrong when it was first read; its mistakes have been told. */
export class Unusable extends Data.TaggedError("Unusable") {}

export interface Options {
  readonly startedAt: number
  readonly style: Style
  /** takes a line of what happens */
  readonly say: (line: string) => void
  /** takes what is wrong, a mistake a line */
  readonly complain: (text: string) => void
}

/** Keeps them until it is interrupted. A file that is wrong from the beginning ends it, a later mistake changes nothing. */
export const keep = (
  path: string,
  { complain, say, startedAt, style }: Options
): Effect.Effect<void, Unusable, FileSystem.FileSystem | Path.Path | Scope.Scope> => {
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
    const fleet = yield* Fleet.make<Client>()
    let isTaken = false
    yield* KeepaliveConfig.follow(path, fleet).pipe(
      Stream.runForEach((outcome) => {
        if (Result.isFailure(outcome)) {
          complain(outcome.failure.message)
          if (!isTaken) return new Unusable()
          ofFile(style.bad("wrong: what it said before goes on"))
          return Effect.void
        }
        isTaken = true
        const { changes, warnings } = outcome.success
        for (const warning of warnings) complain(`${ConfigFileError.format(path, warning)} (ignored)`)
        ofFile(changes.length === 0 ? "changes nothing" : Report.changes(changes))
        return Effect.void
      })
    )
  }).pipe(Effect.provide([Layer.mergeAll(HttpTransport.layer(), StdioTransport.layer()), observed]))
}
