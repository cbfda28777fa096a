/**
 * A server without a network, for what many backends cost: it has tools, answers every question in a microtask of its own, which is the
 * earliest that a transport can, and counts the probes. It takes as little of the CPU that is measured as one can.
 */
import { type Connector, Evidence } from "@vmcp-keepalive/core"
import { Effect, type Scope } from "effect"

/** See the module. */
export class InstantServer implements Connector.Connector<InstantServer> {
  readonly kind = "instant"
  readonly exclusive = false
  readonly connectTimeout = "30 seconds"
  readonly supportsOptions = true
  readonly issues = none
  probes = 0

  open(host: Connector.SessionHost): Effect.Effect<Connector.Session<InstantServer>, never, Scope.Scope> {
    const session = new InstantSession(this, host)
    return Effect.as(
      Effect.acquireRelease(initialize, () => Effect.sync(() => session.end())),
      session
    )
  }
}

class InstantSession implements Connector.Session<InstantServer> {
  readonly client: InstantServer
  readonly era = "legacy"
  readonly stateful = true
  readonly separateAnswers = true
  readonly refresh = unchanged
  readonly #host: Connector.SessionHost
  #isOpen = true

  constructor(client: InstantServer, host: Connector.SessionHost) {
    this.client = client
    this.#host = host
  }

  call(): Connector.Call<InstantServer> {
    return { client: this.client, requests: [], end: () => {} }
  }

  probe(): Effect.Effect<Evidence.Evidence> {
    this.client.probes++
    return Effect.callback((resume) =>
      queueMicrotask(() => {
        if (!this.#isOpen) return
        this.#host.alive()
        resume(pong)
      })
    )
  }

  list(kind: "tools" | "prompts" | "resources"): Effect.Effect<ReadonlyArray<Connector.Listed>> {
    return kind === "tools" ? tools : none
  }

  end(): void {
    this.#isOpen = false
  }
}

/** Answers in a microtask, since no connection answers within the call. */
const later = <A>(answer: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.callback((resume) => queueMicrotask(() => resume(answer)))

const initialize = later(Effect.void)
const pong = Effect.succeed(Evidence.answered)
const tools = later(
  Effect.succeed<ReadonlyArray<Connector.Listed>>([{ name: "echo", fingerprint: 1, replayable: true }])
)
const none = Effect.succeed([])
const unchanged = Effect.succeed(false)
