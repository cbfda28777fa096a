/**
 * Requests without a body, of whose response the status is all that is read.
 */
import { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Drain from "../http/drain.ts"
import * as Failure from "../http/failure.ts"
import { token } from "../stream/eventSource.ts"
import type { SessionIdentity, Wire } from "./wire.ts"

/** Sends one, for this session unless another one is given; an interruption aborts it. */
export const send = (
  wire: Wire,
  method: "OPTIONS" | "DELETE",
  identity: SessionIdentity = wire.identity
): Effect.Effect<Evidence.Evidence> =>
  token(wire).pipe(
    Effect.flatMap((authorization) =>
      Effect.callback<Evidence.Evidence>((resume) => {
        const done = (evidence: Evidence.Evidence) => resume(Effect.succeed(evidence))
        const exchange = wire.exchange(
          { method, headers: wire.headers("*/*", authorization, identity) },
          {
            onHead: (head) => {
              done(head.status >= 200 && head.status <= 299 ? Evidence.answered : wire.refusal(head, identity))
              return Drain.body(() => exchange?.abort())
            },
            onFailure: (failure) => done(Failure.evidenceOf(failure)),
            onOver: () => done(Evidence.transportFailure("closed"))
          }
        )
        if (exchange === undefined) done(Evidence.transportFailure("closed"))
        return Effect.sync(() => exchange?.abort())
      })
    ),
    Effect.catch((evidence) => Effect.succeed(evidence))
  )
