/**
 * What a program may add to the page, such as a demo that harms its own servers: buttons in the details of a backend, and marks in its
 * strip.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { MarkOf } from "./hub.ts"

export interface Extras {
  /** Their ids are parts of a path, and no command of the page's own. */
  readonly buttons: ReadonlyArray<{ readonly id: string; readonly label: string }>
  /** A button was pressed, by an operator. */
  readonly run: (backend: string, button: string) => Effect.Effect<unknown>
  /** What happens to backends from outside, by the gateway's wall clock in milliseconds; default: nothing */
  readonly marks?: Stream.Stream<MarkOf> | undefined
}
