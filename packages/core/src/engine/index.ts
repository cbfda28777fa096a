/**
 * What decides: the transition table and its vocabulary, for those who test it, draw it, or step it by themselves.
 *
 * A backend needs none of it, and neither does a transport: what they need stands in `@vmcp-keepalive/core`. What is here follows
 * the inner workings, so that it may change in a minor release.
 */

/** @since 0.1.0 */
export * as Action from "./Action.ts"
/** @since 0.1.0 */
export * as Model from "./Model.ts"
/** @since 0.1.0 */
export * as Probe from "./Probe.ts"
/** @since 0.1.0 */
export * as Signal from "./Signal.ts"
/** @since 0.1.0 */
export * as Transition from "./Transition.ts"
