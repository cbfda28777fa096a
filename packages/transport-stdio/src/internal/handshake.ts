/**
 * What a client sends to connect, and waits for the answer of: a child that never answers must not keep it from connecting.
 *
 * A server of the legacy era may be silent until `initialize` comes. So after a while the client is told that `server/discover` is not
 * known, and sends `initialize` to the same child. That is no verdict: an answer that comes nevertheless is noticed.
 */
import { Evidence } from "@vmcp-keepalive/core"
import type { Message, Requests } from "@vmcp-keepalive/sdk-client/peer"

const silent = Evidence.transportFailure("timeout")
const unknownMethod = { code: -32601, message: "Method not found" }

/** See the module. One for each child. */
export class Handshake {
  /** is told of an answer to `server/discover` that says that the server is of the modern era, after the client has gone on without it */
  onLateAnswer: () => void = () => {}

  readonly #requests: Requests.Requests
  readonly #patience: number | undefined
  #question: Requests.Pending | undefined = undefined
  #isLate = false
  #isOver = false
  readonly #clocks = new Set<NodeJS.Timeout>()

  /** `patience`: how long `server/discover` may be unanswered, in milliseconds; `undefined`: without a bound */
  constructor(requests: Requests.Requests, patience: number | undefined) {
    this.#requests = requests
    this.#patience = patience
  }

  /** Whether the client is connected, or will not be. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Whether the child was asked for its era, and has said nothing to it. */
  get isUnanswered(): boolean {
    return this.#question?.record.fate === "dispatched"
  }

  /** Whether it has said that it is of the modern era after the client had gone on without its answer. */
  get isAnsweredLate(): boolean {
    return this.#isLate
  }

  /** A request was written. */
  sent(message: Message.Request, pending: Requests.Pending): void {
    if (this.#isOver || pending.own || pending.guarded) return
    switch (message.method) {
      case "server/discover":
        return this.#asked(pending)
      case "initialize":
        return this.#wentOn()
    }
  }

  /** An answer came that nobody waits for. */
  unexpected(message: Message.Message): void {
    if (this.#question === undefined || this.#isLate || !("result" in message)) return
    if (message.id !== this.#question.id || !Array.isArray(message.result["supportedVersions"])) return
    this.#isLate = true
    this.onLateAnswer()
  }

  /** The client is connected, or will not be. */
  end(): void {
    this.#isOver = true
    for (const clock of this.#clocks) clearTimeout(clock)
    this.#clocks.clear()
  }

  #asked(pending: Requests.Pending): void {
    this.#question = pending
    if (this.#patience === undefined) return
    this.#bound(this.#patience, pending, () => {
      this.#requests.received({ jsonrpc: "2.0", id: pending.id, error: unknownMethod })
      pending.record.met("dispatched", silent)
    })
  }

  /** The client has gone on by a clock of its own: what comes now is late as well. */
  #wentOn(): void {
    if (this.#question !== undefined && this.isUnanswered)
      this.#requests.fail(this.#question, silent, new Error("The server is silent"))
  }

  /** Does that in so many milliseconds, unless the request has ended or the client is connected before. */
  #bound(millis: number, pending: Requests.Pending, act: () => void): void {
    const { release } = pending
    const stop = () => {
      clearTimeout(clock)
      this.#clocks.delete(clock)
    }
    const clock = setTimeout(() => {
      stop()
      act()
    }, millis)
    this.#clocks.add(clock)
    pending.release = () => {
      stop()
      release?.()
    }
  }
}
