/** One message on its way to the owner, as an effect: an interruption is that of whoever waits for it. */
import type { BackendError } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import type { Request } from "../../src/internal/owner/perform.ts"
import type { Answer } from "../../src/internal/protocol.ts"
import { ask, type Options } from "../../src/internal/view/asking.ts"

export const asking = (options: Options) => (request: Request) =>
  Effect.withFiber(({ context }) =>
    Effect.callback<Answer, BackendError.CallError | BackendError.SessionReplaced>((resume) => {
      const interrupt = ask(options)(request, Effect.runForkWith(context), resume)
      return Effect.sync(interrupt)
    })
  )
