/**
 * A process that holds one backend, to be run in a network namespace: `node kernelSubject.ts`. It is told the URL and then the
 * id of a call, and says what becomes of them.
 */
import { Effect, Fiber, Stream } from "effect"
import { once } from "node:events"
import * as SocketFaults from "./socketFaults.ts"
import { keep, type Said } from "./support.ts"

export type Command = { readonly url: string } | { readonly call: string }

/** What it says. */
export type Word =
  | { readonly state: string }
  /** how the call ended, and with what codes the sockets of this process have ended so far */
  | { readonly said: Said; readonly met: ReadonlyArray<string> }

const say = (word: Word) => Effect.sync(() => void process.send?.(word))
const command = Effect.promise(async (): Promise<Command> => (await once(process, "message"))[0])

const subject = Effect.gen(function* () {
  const faults = yield* SocketFaults.install
  const first = yield* command
  const kept = yield* keep({ url: "url" in first ? first.url : "" })
  const telling = yield* Effect.forkScoped(Stream.runForEach(kept.backend.changes, ({ _tag }) => say({ state: _tag })))
  const next = yield* command
  yield* say({ said: yield* kept.call("call" in next ? next.call : ""), met: faults.met })
  // until it is killed
  yield* Fiber.join(telling)
}).pipe(Effect.scoped)

if (import.meta.main) {
  process.on("disconnect", () => process.exit())
  Effect.runFork(subject)
}
