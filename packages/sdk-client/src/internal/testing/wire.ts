/**
 * The wire of one session in memory, on which JSON goes to and fro: what the client says to the user's server, and what that says to the client, with what
 * a test makes go wrong between them. Of every request it knows what became of it, as the wire of a real transport does.
 */
import { type Connector, Evidence, type FailureDetail, type FailureReason } from "@vmcp-keepalive/core"
import type * as Effect from "effect/Effect"
import { ClientTransport } from "../../ClientTransport.ts"
import * as Message from "../../Message.ts"
import type * as Listening from "../../Listening.ts"
import type { Pending, Requests } from "../../Requests.ts"
import * as Faults from "./faults.ts"
import { Lane } from "./lane.ts"
import { type Server, ServerEnd } from "./serverEnd.ts"

/** What a wire is made of. */
export interface Options {
  /** counts the sessions of the server, from 1 */
  readonly number: number
  readonly host: Connector.SessionHost
  readonly faults: Faults.Faults
  readonly server: () => Server | Promise<Server>
  /** monotonic milliseconds */
  readonly now: () => number
  /** runs what waits for the clock, until the session ends */
  readonly fork: (effect: Effect.Effect<void>) => void
  /** the call of a tool has reached the server, which begins to execute it */
  readonly called: (json: string) => void
  /** the server has let go of the session */
  readonly ended: () => void
}

/** See the module. */
export class Wire {
  /** what the client is connected to */
  readonly transport: ClientTransport
  readonly requests: Requests
  /** what listening to changes needs */
  readonly listening: Omit<Listening.Port, "capabilities">
  /** hears why the session ended before it was open */
  onLost: (evidence: Evidence.Evidence) => void = () => {}
  /** whether the handshake is done: from then on the host hears of the end */
  opened = false
  /** whether the server knows the session no longer */
  isForgotten = false

  readonly #options: Options
  readonly #server: ServerEnd
  readonly #toServer: Lane
  readonly #toClient: Lane
  #isOver = false

  constructor(options: Options) {
    this.#options = options
    const { faults, fork, host, now, number } = options
    const lane = { now, fork, isFrozen: () => faults.frozen }
    this.#toServer = new Lane(lane)
    this.#toClient = new Lane(lane)
    this.#server = new ServerEnd({
      make: options.server,
      sessionId: String(number),
      said: (json) => this.#toClient.add(() => this.#receive(json), faults.latency),
      closed: () => {
        this.#lose("reset", say("the server closed the session"))
        options.ended()
      }
    })
    this.transport = new ClientTransport({
      subscriptions: host.subscriptions,
      listChanged: (kind) => host.listChanged(kind),
      request: (message, pending) => this.#request(message, pending),
      transmit: (message) => this.#transmit(message),
      closed: () => {
        // one that could not connect closes, too: why it could not is known from its requests
        if (this.opened) this.#lose("closed")
        else this.#quiesce()
      }
    })
    this.requests = this.transport.requests
    this.listening = {
      transport: this.transport,
      host,
      now,
      fork,
      subscribed: host.subscriptions,
      receive: (notification) => this.transport.requests.received(notification),
      isOpened: () => this.opened,
      isOver: () => this.#isOver
    }
    this.#toServer.add(() => this.#begin())
  }

  // ------------------------------------------------------------------------------------------------- what goes out

  async #begin(): Promise<void> {
    try {
      await this.#server.begin()
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.kill("process_exit", say("the server could not be made", [why]))
    }
  }

  /** From when it is written it may be executed: a server that is frozen does so when it is thawed. */
  #request(message: Message.Request, pending: Pending): void {
    if (this.#isOver) throw new Error("Not connected")
    pending.record.fate = "dispatched"
    const writtenAt = this.#options.now()
    const json = JSON.stringify(message)
    this.#toServer.add(() => {
      if (this.isForgotten) return this.#refuse(pending, writtenAt)
      if (message.method === "tools/call" && !this.#server.isClosed) this.#options.called(json)
      this.#server.receive(json)
    })
  }

  #transmit(message: Message.Notification | Message.Answer): Promise<void> {
    if (this.#isOver) return Promise.reject(new Error("Not connected"))
    const json = JSON.stringify(message)
    this.#toServer.add(() => {
      if (!this.isForgotten) this.#server.receive(json)
    })
    return Promise.resolve()
  }

  /** As HTTP does it: 404 to a request with the id of a session that the server does not know. */
  #refuse(pending: Pending, writtenAt: number): void {
    this.#toClient.add(() => {
      if (this.#isOver) return
      const { record } = pending
      record.heardAt = this.#options.host.alive()
      record.fate = "refused"
      record.refusedAfter = record.heardAt - writtenAt
      const evidence = Evidence.refused({ status: 404, withSession: true })
      this.requests.fail(pending, evidence, new Error("The server does not know the session"))
    }, this.#options.faults.latency)
  }

  /** Asks on the level of HTTP: `done` hears of the answer, which comes unless the server is frozen or gone. */
  options(done: () => void): void {
    this.#toServer.add(() =>
      this.#toClient.add(() => {
        this.#options.host.alive()
        done()
      }, this.#options.faults.latency)
    )
  }

  // ------------------------------------------------------------------------------------------------- what comes in

  #receive(json: string): void {
    if (this.#isOver) return
    const heardAt = this.#options.host.alive()
    const message = Message.of(Message.parse(json))
    if (message === undefined) return this.#options.host.notice("garbage")
    const pending = this.requests.answeredBy(message) ?? this.#progressed(message)
    if (pending !== undefined) pending.record.heardAt = heardAt
    if (pending !== undefined && Message.isAnswer(message) && this.#isDropped(pending))
      return this.requests.fail(pending, Evidence.transportFailure("stream_cut"), new Error("The answer was lost"))
    try {
      this.requests.received(message)
    } catch {
      // What a handler of the user's throws must not end the reading: it has no better place to go to than where it comes from.
    }
  }

  #progressed(message: Message.Message): Pending | undefined {
    const token = Message.progressOf(message)
    return Message.isId(token) ? this.requests.pending.get(token) : undefined
  }

  #isDropped({ own, record }: Pending): boolean {
    return !own && record.method === "tools/call" && Faults.takeDropped(this.#options.faults, record.tool)
  }

  // -------------------------------------------------------------------------------------------------------- its end

  /** Goes on after a freeze. */
  thaw(): void {
    this.#toServer.wake()
    this.#toClient.wake()
  }

  /** The server is no more: what it has not read it never reads, and what it has said does not arrive. */
  kill(reason: FailureReason.FailureReason, detail: FailureDetail.FailureDetail | undefined): void {
    this.#toServer.clear()
    this.#toClient.clear()
    void this.#endServer()
    this.#lose(reason, detail)
  }

  #lose(reason: FailureReason.FailureReason, detail?: FailureDetail.FailureDetail): void {
    if (this.#isOver) return
    const evidence = Evidence.transportFailure(reason, detail)
    this.#quiesce(evidence)
    if (this.opened) this.#options.host.lost(reason, detail)
    else this.onLost(evidence)
  }

  #quiesce(evidence?: Evidence.Evidence): void {
    this.#isOver = true
    this.requests.close(evidence)
  }

  /** The client has ended the session. The server hears of it after all that was written to it. */
  close(): void {
    this.#quiesce()
    this.#toServer.add(() => this.#endServer())
  }

  async #endServer(): Promise<void> {
    this.#options.ended()
    try {
      await this.#server.end()
    } catch {
      // A server that cannot be closed has no client any more: nobody could make use of why.
    }
  }
}

const say = (summary: string, output: ReadonlyArray<string> = []): FailureDetail.FailureDetail => ({ summary, output })
