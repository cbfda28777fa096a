/**
 * At most once: decorates the engine's `Runners`, which sends a request again, for as long as it takes, when the process that had it is gone. For a call
 * that runs a tool twice, and for a stream that nobody sees the gap in it. Here one of which a byte may have been written is ended instead, at once; its
 * ticket says so to whoever made it. One of which none was is left to the engine, which finds the next owner.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { type Message, type MessageStorage, Reply, Runners, type ShardingConfig, Snowflake } from "effect/cluster"
import type { Rpc } from "effect/rpc"
import * as Address from "../address.ts"
import type * as Connections from "../engine/connections.ts"
import * as Requests from "../engine/requests.ts"
import { Attach, BackendEntity, Call, Changes, Events, Listen, Pin } from "../protocol.ts"
import * as Ticket from "./ticket.ts"

/** What is never sent again: a call, and what an owner tells, whose end is told to the reader, who has missed something then. */
const once: ReadonlySet<string> = new Set([Call, Changes, Events, Listen, Attach, Pin].map(({ _tag }) => _tag))

/** `grace`: for how long one that has left may still answer what it has begun. */
export const layer = (
  grace: Duration.Duration
): Layer.Layer<
  Runners.Runners,
  never,
  Connections.Connections | ShardingConfig.ShardingConfig | MessageStorage.MessageStorage
> =>
  Layer.effect(
    Runners.Runners,
    Effect.gen(function* () {
      const snowflakes = yield* Snowflake.Generator
      // it writes into the ticket of a request that it is handed to the socket
      const runners = yield* Requests.make(grace)

      const ticketOf = <R extends Rpc.Any>(message: Message.Outgoing<R>): Ticket.State | undefined => {
        if (message._tag !== "OutgoingRequest") return undefined
        const { address, tag } = message.envelope
        if (address.entityType !== BackendEntity.type || !once.has(tag)) return undefined
        return Context.getOrElse(message.context, Ticket.Ticket, () => ({ written: false }))
      }
      /** A refusal is an answer: nothing was executed, and it may be written once more. */
      const refused = (ticket: Ticket.State) => (error: { readonly _tag: string }) =>
        Effect.sync(() => {
          if (error._tag !== "RunnerUnavailable") ticket.written = false
        })

      return Runners.Runners.of({
        ...runners,
        sendLocal: (options) => {
          const ticket = ticketOf(options.message)
          if (ticket === undefined) return runners.sendLocal(options)
          return Effect.suspend(() => {
            ticket.written = true
            // it may have been on its way to the owner before
            ticket.to = undefined
            return Effect.tapError(runners.sendLocal(options), refused(ticket))
          })
        },
        send: (options) => {
          const { address, message } = options
          const ticket = ticketOf(message)
          if (ticket === undefined || message._tag !== "OutgoingRequest") return runners.send(options)
          ticket.to = Address.format(address)
          const ended = () =>
            new Reply.WithExit<never>({
              id: snowflakes.nextUnsafe(),
              requestId: message.envelope.requestId,
              exit: Exit.interrupt()
            })
          return runners.send(options).pipe(
            Effect.tapError(refused(ticket)),
            Effect.catchTag("RunnerUnavailable", (error) =>
              ticket.written ? message.respond(ended()) : Effect.fail(error)
            ),
            Effect.provideService(Ticket.Ticket, ticket)
          )
        }
      })
    })
  ).pipe(Layer.provide(Snowflake.layerGenerator))
