/**
 * The errors of a fleet, of more than one backend each.
 */
import * as Schema from "effect/Schema"
import { ConfigurationError } from "../BackendError.ts"
import { ConnectionState } from "../ConnectionState.ts"

/**
 * Specs are wrong: everything that is, of every one of them. The fleet is as it was.
 *
 * @since 0.1.0
 */
export class FleetConfigurationError extends Schema.TaggedError<FleetConfigurationError>()("FleetConfigurationError", {
  /** one for each backend of which something is wrong */
  errors: Schema.Array(ConfigurationError)
}) {
  override get message(): string {
    return this.errors.map(({ message }) => message).join("\n")
  }
}

/**
 * Required backends are not connected, and were not within their `startDeadline`. They are attempted on.
 *
 * @since 0.1.0
 */
export class FleetNotReady extends Schema.TaggedError<FleetNotReady>()("FleetNotReady", {
  /** each with its state now: why it is not connected, and when it is attempted next */
  backends: Schema.Array(Schema.Struct({ backend: Schema.String, state: ConnectionState }))
}) {
  override get message(): string {
    const each = this.backends.map(({ backend, state }) => {
      const reason = "reason" in state && state.reason !== undefined ? `, ${state.reason}` : ""
      return `"${backend}" (${state._tag}${reason})`
    })
    return `Required backends are not connected: ${each.join(", ")}`
  }
}
