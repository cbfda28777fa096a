/**
 * What a program may add to the page, such as a demo that harms its own servers: buttons in the details of a backend, and marks in its
 * strip.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { MarkOf } from "./hub.ts"

export interface Button {
  /** a part of a path, and no command of the page's own */
  readonly id: string
  readonly label: string
  /** why it cannot be pressed now, as a sentence; default: it can */
  readonly disabled?: string | undefined
}

export interface Extras {
  /** stands above the buttons; default: nothing does */
  readonly title?: string | undefined
  /** Those of a backend, as they are now. A page that shows them reads them again when something happens to the backend, such as a mark. */
  readonly buttons: (backend: string) => Effect.Effect<ReadonlyArray<Button>>
  /** A button was pressed, by an operator. One that is disabled is not carried out. */
  readonly run: (backend: string, button: string) => Effect.Effect<unknown>
  /** What happens to backends from outside, by the gateway's wall clock in milliseconds; default: nothing */
  readonly marks?: Stream.Stream<MarkOf> | undefined
}
