/**
 * What decides: the transition table and its vocabulary, for those who test it, draw it, or step it by themselves.
 *
 * A backend needs none of it, and neither does a transport: what they need stands in `@vmcp-keepalive/core`. What is here follows
 * the inner workings, so that it may change in a minor release.
 */
export * as Action from "./Action.ts"
export * as Model from "./Model.ts"
export * as Probe from "./Probe.ts"
export * as Signal from "./Signal.ts"
export * as Transition from "./Transition.ts"
