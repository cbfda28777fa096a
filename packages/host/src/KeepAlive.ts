/**
 * A kept connection for programs without Effect.
 */
import type { Backend } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import { type Keeper, make, type Observed, type Options as KeeperOptions } from "./internal/keeper.ts"
import { KeptTransport } from "./KeptTransport.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What {@link keepAlive} takes.
 *
 * @since 0.1.0
 */
export type Options<R = never> = KeeperOptions<R>

/**
 * A transport that never closes towards its client, and what one sees of it.
 *
 * @since 0.1.0
 */
export class Kept extends KeptTransport implements Observed {
  /** the id of the backend */
  readonly id: string
  readonly on: Observed["on"]
  readonly #keeper: Keeper

  /** See {@link keepAlive}. */
  constructor(keeper: Keeper) {
    super(keeper)
    this.id = keeper.id
    this.on = keeper.on
    this.#keeper = keeper
  }

  get state(): Observed["state"] {
    return this.#keeper.state
  }

  /** Asks the server now whether it lives. Rejects with `SessionUnavailable` where there is no session to ask. */
  readonly probe = (): Promise<Observed["state"]> => this.#operate((backend) => backend.probe)

  /**
   * Replaces the session, the new one first; without one, tries now. Rejects with `CallRejected` where the backend is isolated or
   * closed.
   */
  readonly reconnect = (): Promise<Observed["state"]> => this.#operate((backend) => backend.reconnect)

  /** Closes the session until {@link reset}: calls fail at once. */
  readonly isolate = (): Promise<Observed["state"]> =>
    this.#operate((backend) => Effect.andThen(backend.isolate, backend.state))

  /** Forgets failures, and tries now. */
  readonly reset = (): Promise<Observed["state"]> =>
    this.#operate((backend) => Effect.andThen(backend.reset, backend.state))

  /** Before the client has started the connection there is nothing to operate. */
  async #operate(
    command: (backend: Backend.Backend<Peer.Peer>) => Effect.Effect<Observed["state"], unknown>
  ): Promise<Observed["state"]> {
    const { newest } = this.#keeper
    return newest === undefined ? this.state : Effect.runPromise(command(newest.backend))
  }
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A transport for a client of any framework (`client.connect(keepAlive({ … }))`). Nothing is started before the client starts it.
 * Throws a `ConfigurationError` with everything that is wrong in the settings.
 *
 * @since 0.1.0
 */
export const keepAlive = <R = never>(options: Options<R>): Kept => new Kept(make(options))
