/**
 * How many backends this process has made: by all copies of this package that it may have loaded, so that telemetry can tell
 * when it was given to none of them.
 */
const key = Symbol.for("@vmcp-keepalive/core/Backend/made")

const counter: { made: number } = Reflect.get(globalThis, key) ?? { made: 0 }
Reflect.set(globalThis, key, counter)

/** One more was made. */
export const count = (): void => void counter.made++

/** How many there were so far. */
export const read = (): number => counter.made
