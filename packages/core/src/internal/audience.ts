/**
 * Who reads the events of a fleet: one set for all its backends, so that a fleet that nobody reads costs its backends nothing.
 */
import * as Context from "effect/Context"
import type { Observer } from "../KeepaliveEvent.ts"

/** Those of one fleet. */
export interface Audience {
  readonly readers: Set<Observer>
}

/** Of the fleet that makes the backend; `undefined` where none does. */
export const Current: Context.Reference<Audience | undefined> = Context.Reference(
  "@vmcp-keepalive/core/internal/Audience",
  { defaultValue: (): Audience | undefined => undefined }
)
