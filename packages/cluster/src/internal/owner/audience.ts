/**
 * Who hears in other processes what the servers of this one say: each caller what is said to all, and what belongs to its own requests.
 */
import { Message, type Peer, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Heard, Session } from "../protocol.ts"
import { Outbox } from "./outbox.ts"
import { Pins } from "./pins.ts"

/** A request of a caller's. */
interface Asked {
  readonly caller: string
  /** by which the caller knows it */
  readonly label: number
  /** the caller's own progress token */
  readonly token: Message.Id | undefined
}

/** A session, as it is known here. */
interface Open {
  readonly told: Session
  /** the requests under way, by their ids on the wire */
  readonly asked: Map<Message.Id, Asked>
}

interface Attached {
  readonly outbox: Outbox
  readonly notify: () => void
  /** the number of the last notification that waits for it, or has gone to it */
  last: number
}

/** A request on its way to the server. */
export interface Asking {
  readonly params: Message.Params | undefined
  /** It goes out on that session, with that id. */
  readonly sent: (server: Peer.Server | undefined, id: number) => void
  /** The answer has come: returns the number of the last notification that came to its caller before. */
  readonly answered: () => number
  readonly end: () => void
}

/** See the module. One for each backend that is kept. */
export class Audience {
  readonly pins = new Pins()
  readonly #incarnation: string
  /** by what the server said in it: each call sees a peer of its own */
  readonly #sessions = new WeakMap<Peer.Server, Open>()
  readonly #byToken = new Map<string, Asked>()
  readonly #attached = new Map<string, Attached>()
  #newest: Session | undefined
  #count = 0
  #nextToken = 0
  #notified = 0

  /** `incarnation`: a name that no other one has. */
  constructor(incarnation: string) {
    this.#incarnation = incarnation
  }

  // ------------------------------------------------------------------------------------------------------- sessions

  /** A session has begun. */
  readonly opened = (peer: Peer.Peer): void => {
    const { era, server } = peer
    if (server === undefined || era === undefined) return
    const told: Session = { key: `${this.#incarnation} ${++this.#count}`, server: JSON.stringify(server), era }
    const open: Open = { told, asked: new Map() }
    this.#sessions.set(server, open)
    this.#newest = told
    peer.listen({
      onNotification: (notification, about) => this.#notify(open, notification, about),
      onClose: () => {
        if (this.#newest === told) this.#newest = undefined
        this.#tellAll({ _tag: "Over", key: told.key })
      }
    })
    this.#tellAll({ _tag: "Began", session: told })
  }

  /** The session whose client that is. */
  of({ server }: Peer.Peer): Session | undefined {
    return server && this.#sessions.get(server)?.told
  }

  // -------------------------------------------------------------------------------------------------------- callers

  /** What a caller hears, from now on: first which session there is. One that has been attached already hears it here from now on. */
  attach(caller: string): Stream.Stream<Heard> {
    return Stream.suspend(() => {
      const outbox = new Outbox()
      return Stream.callback<void>(
        (queue) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const attached: Attached = { outbox, notify: () => void Queue.offerUnsafe(queue, undefined), last: 0 }
              outbox.push({ _tag: "Attached", session: this.#newest })
              this.#attached.set(caller, attached)
              attached.notify()
              return attached
            }),
            (attached) =>
              Effect.sync(() => void (this.#attached.get(caller) === attached && this.#attached.delete(caller)))
          ),
        // one is enough: what there is to tell is taken when it comes
        { bufferSize: 1, strategy: "sliding" }
      ).pipe(
        Stream.map(() => outbox.take()),
        Stream.flattenIterable
      )
    })
  }

  /** A caller asks something. Progress gets a token that no other caller has. */
  ask(caller: string, label: number, params: Message.Params | undefined): Asking {
    const own = params?._meta?.["progressToken"]
    const asked: Asked = { caller, label, token: Message.isId(own) ? own : undefined }
    const shown = asked.token === undefined ? undefined : `cluster-${this.#nextToken++}`
    if (shown !== undefined) this.#byToken.set(shown, asked)
    let leave = () => {}
    return {
      params: shown === undefined ? params : { ...params, _meta: { ...params?._meta, progressToken: shown } },
      sent: (server, id) => {
        leave()
        const open = server && this.#sessions.get(server)
        open?.asked.set(id, asked)
        leave = () => void open?.asked.delete(id)
      },
      answered: () => this.#attached.get(caller)?.last ?? 0,
      end: () => {
        leave()
        if (shown !== undefined) this.#byToken.delete(shown)
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------------- telling

  #notify({ asked, told: { key } }: Open, notification: Message.Notification, about: Requests.About): void {
    if (this.#attached.size === 0) return
    const { relatedRequestId: id } = about
    const related = id === undefined ? undefined : asked.get(id)
    if (notification.method === "notifications/progress") {
      const of = this.#byToken.get(String(Message.progressOf(notification)))
      if (of?.token === undefined) return
      const params = { ...notification.params, progressToken: of.token }
      return this.#tell([of.caller], key, { ...notification, params }, of.label)
    }
    const isChange =
      Message.listChanged(notification) !== undefined || notification.method === "notifications/resources/updated"
    if (isChange) this.#tell(this.#attached.keys(), key, notification, undefined, true)
    else if (related !== undefined) this.#tell([related.caller], key, notification, related.label)
    // what is about the doing of one is no other's matter
    else if (id === undefined) this.#tell(this.#attached.keys(), key, notification)
  }

  #tell(
    callers: Iterable<string>,
    key: string,
    notification: Message.Notification,
    label?: number,
    isChange = false
  ): void {
    const json = JSON.stringify(notification)
    const n = ++this.#notified
    for (const caller of callers) {
      const attached = this.#attached.get(caller)
      if (attached === undefined) continue
      attached.last = n
      attached.outbox.push({ _tag: "Notified", n, key, json, label, isChange })
      attached.notify()
    }
  }

  #tellAll(heard: Heard): void {
    for (const { notify, outbox } of this.#attached.values()) {
      outbox.push(heard)
      notify()
    }
  }
}
