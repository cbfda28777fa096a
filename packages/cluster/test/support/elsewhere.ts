/** A backend of this process, and the same as other processes have it, without what is between them. */
import { Backend, type Connector } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { Duration, Effect, FiberMap, Stream } from "effect"
import { Audience } from "../../src/internal/owner/audience.ts"
import { gated } from "../../src/internal/owner/gate.ts"
import { meet, perform } from "../../src/internal/owner/perform.ts"
import * as Calling from "../../src/internal/view/calling.ts"
import * as Patience from "../../src/internal/view/patience.ts"

export const elsewhere = (connector: Connector.Connector<Peer.Peer>) =>
  Effect.gen(function* () {
    const audience = new Audience("here")
    const backend = yield* Backend.make({
      id: "tools",
      connector: gated(connector, () => true, audience.opened),
      policy: { circuit: { failures: 1 } }
    })
    const background = yield* FiberMap.make<string>()
    const kept = { audience, backend }
    const waitForOwner = Duration.seconds(5)
    const patience = yield* Patience.make(waitForOwner)
    /** as the process of that name has it; `owner`: what it is told otherwise than truly */
    const there = (caller: string, owner: Partial<Calling.Owner> = {}, isListed = () => true) =>
      Calling.make({
        id: "tools",
        waitForOwner,
        patience,
        isListed,
        kept: () => undefined,
        caller,
        begin: (effect) => FiberMap.run(background, caller, effect, { onlyIfMissing: true }),
        owner: {
          address: Effect.undefined,
          call: (request) => perform(kept, request),
          meet: meet(kept),
          attach: () => Stream.suspend(() => audience.attach(caller)),
          hold: (pin) => audience.pins.hold(backend, pin),
          ...owner
        }
      })
    return { audience, backend, there }
  })
