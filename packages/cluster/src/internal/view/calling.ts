/**
 * Calls of a backend that another process keeps: on its owner, whoever that is, and on this process where it has become the owner meanwhile.
 */
import type { Backend, BackendError } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type Kept, meet, type Request } from "../owner/perform.ts"
import type { Pinned } from "../owner/pins.ts"
import type { Answer, Heard, Session } from "../protocol.ts"
import { ask, type Ended } from "./asking.ts"
import { Attachment, type Known } from "./attachment.ts"
import { using } from "./elsewhere.ts"
import * as Following from "./following.ts"
import type { Patience } from "./patience.ts"
import { pinning } from "./pinning.ts"
import { isCallError, left, reach, unkept } from "./reach.ts"

/** How long a session is waited for beyond the finding of an owner: the owner has its own, shorter bound. */
const longest = Duration.minutes(3)

/** What is asked of whoever keeps it. */
export interface Owner {
  /** the address of whoever that is, where it is told in a moment */
  readonly address: Effect.Effect<string | undefined>
  readonly call: (request: Request) => Effect.Effect<Answer, unknown>
  readonly meet: Effect.Effect<Session, unknown>
  readonly attach: () => Stream.Stream<Heard, unknown>
  readonly hold: (pin: string) => Stream.Stream<Pinned, unknown>
}

export interface Options {
  readonly id: string
  readonly waitForOwner: Duration.Duration
  /** that of all calls of this process: as long as `waitForOwner` */
  readonly patience: Patience
  readonly isListed: () => boolean
  /** what this process keeps itself */
  readonly kept: () => Kept | undefined
  /** the name under which this process is attached: no other has it */
  readonly caller: string
  /** Runs in the background, once, for as long as it is listed. */
  readonly begin: (effect: Effect.Effect<void>) => Effect.Effect<unknown, BackendError.SessionUnavailable>
  readonly owner: Owner
}

export const make = ({
  begin,
  caller,
  id,
  isListed,
  kept,
  owner,
  patience,
  waitForOwner
}: Options): Pick<Backend.Backend<Peer.Peer>, "use" | "pinned"> => {
  const isLeft = left(isListed)
  const isMet = (error: unknown): error is BackendError.CallError => isCallError(error) && !isLeft(error)

  // What is heard of it begins with the first call from here.
  const attachment = new Attachment()
  const hearing = Stream.runForEach(
    Following.follow<Heard | undefined, Kept>({
      isListed,
      local: kept,
      here: ({ audience }) => Stream.concat(audience.attach(caller), Stream.make(undefined)),
      elsewhere: () => Stream.concat(Following.orNothing(owner.attach()), Stream.make(undefined))
    }),
    (heard) => Effect.sync(() => attachment.take(heard))
  ).pipe(
    // a process that ends hears no owner's end
    Effect.onInterrupt(() => Effect.sync(() => attachment.take(undefined)))
  )
  const attached = Effect.timeoutOrElse(Effect.andThen(begin(hearing), attachment.attached), {
    duration: waitForOwner,
    orElse: () => Effect.fail(unkept(id))
  })

  // No owner is waited for where none is to come.
  const meetThere = Effect.suspend(() => (isListed() ? owner.meet : Effect.fail(unkept(id))))
  const meeting = Effect.suspend(() => {
    const here = kept()
    return reach(id, longest, here === undefined ? meetThere : meet(here), isMet)
  })
  const met = Effect.gen(function* () {
    yield* attached
    return attachment.newest ?? (yield* attachment.met(yield* meeting))
  })
  const session: Effect.Effect<Known, BackendError.CallError> = Effect.suspend(() =>
    attachment.newest === undefined ? met : Effect.succeed(attachment.newest)
  )

  const asking = ask({ id, patience, isLeft, local: kept, owner: owner.address, send: owner.call })
  let pins = 0
  return {
    use: using<BackendError.CallError>({
      id,
      attachment,
      session,
      isMet: isCallError,
      // what is not pinned is not replaced
      ask: (request, fork, settled) =>
        asking({ ...request, caller, pin: undefined }, fork, (ended) => settled(neverReplaced(ended)))
    }),
    pinned: pinning({
      id,
      attachment,
      session,
      attached,
      caller,
      ask: asking,
      isLeft,
      name: () => `${caller} ${pins++}`,
      hold: (pin) => {
        const here = kept()
        if (here !== undefined) return here.audience.pins.hold(here.backend, pin)
        return isListed() ? owner.hold(pin) : Stream.fail(unkept(id))
      }
    })
  }
}

const neverReplaced = (ended: Ended): Exit.Exit<Answer, BackendError.CallError> => {
  if (Exit.isSuccess(ended)) return Exit.succeed(ended.value)
  const error = Option.getOrUndefined(Cause.findErrorOption(ended.cause))
  return error === undefined || error._tag === "SessionReplaced"
    ? Exit.die(Cause.squash(ended.cause))
    : Exit.fail(error)
}
