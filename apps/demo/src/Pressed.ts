/** What becomes of a button when it is pressed: one fault of a backend at a time, each with an end. */
import { Clock, Deferred, Duration, Effect, FiberMap, PubSub, Stream } from "effect"
import type { Scope } from "effect"
import type { Page } from "vmcp-keepalive"
import type { Button } from "./Buttons.ts"

export interface Pressed {
  readonly extras: Page.Extras
  /** Marks the strip of a backend, and tells it on the page. */
  readonly mark: (backend: string, label: string) => Effect.Effect<void>
  /**
   * These are the buttons, until the scope closes, by backend. They are shown, and cannot be pressed yet for this reason; what is returned
   * makes that they can.
   */
  readonly withhold: (
    buttons: ReadonlyMap<string, ReadonlyArray<Button>>,
    reason: string
  ) => Effect.Effect<Effect.Effect<void>, never, Scope.Scope>
}

/** A fault that lasts. */
interface InForce {
  readonly button: Button
  readonly ended: Deferred.Deferred<void>
}

/** How many marks may wait for the page, which takes them at once. */
const waiting = 100
/** How long a fault may take to begin. */
const patience = "10 seconds"

export const make: Effect.Effect<Pressed> = Effect.gen(function* () {
  const marks = yield* PubSub.sliding<{ readonly at: number; readonly backend: string; readonly label: string }>(
    waiting
  )
  const inForce = new Map<string, InForce>()
  let buttons: ReadonlyMap<string, ReadonlyArray<Button>> = new Map()
  let withheld: string | undefined
  let press: (backend: string, button: Button) => Effect.Effect<unknown> = () => Effect.void

  const mark: Pressed["mark"] = (backend, label) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => PubSub.publish(marks, { at, backend, label }))

  const shown = (backend: string): ReadonlyArray<Page.Button> => {
    const current = inForce.get(backend)?.button
    const disabled = withheld ?? (current && `One fault at a time: "${current.label}" is in force.`)
    return (buttons.get(backend) ?? []).map((button) =>
      button === current
        ? { id: button.id, label: button.lasting?.endLabel ?? button.label }
        : { id: button.id, label: labelOf(button), disabled }
    )
  }

  const lastingFault = (backend: string, button: Button, { end, seconds }: NonNullable<Button["lasting"]>) =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<void>()
      inForce.set(backend, { button, ended })
      yield* mark(backend, `Fault: ${button.label}`)
      yield* begun(button)
      yield* Effect.timeoutOption(Deferred.await(ended), Duration.seconds(seconds))
      yield* end
      inForce.delete(backend)
      yield* mark(backend, `Over: ${button.label}`)
      // where the scope closes, all of it ends with the servers
    }).pipe(Effect.ensuring(Effect.sync(() => inForce.delete(backend))))

  const carriedOut = (backend: string, button: Button) =>
    (button.lasting === undefined
      ? Effect.andThen(mark(backend, `Fault: ${button.label}`), begun(button))
      : lastingFault(backend, button, button.lasting)
    ).pipe(Effect.catch(() => mark(backend, `${button.label}: that was not possible`)))

  return {
    mark,
    withhold: (given, reason) =>
      Effect.gen(function* () {
        const running = yield* FiberMap.make<string>()
        press = (backend, button) => {
          const current = inForce.get(backend)
          if (current !== undefined) return Deferred.succeed(current.ended, undefined)
          return FiberMap.run(running, backend, carriedOut(backend, button), { onlyIfMissing: true })
        }
        buttons = given
        withheld = reason
        return Effect.suspend(() => {
          withheld = undefined
          return Effect.forEach(given.keys(), (id) => mark(id, "The tour is over"), { discard: true })
        })
      }),
    extras: {
      title: "Do harm to the real server",
      buttons: (backend) => Effect.sync(() => shown(backend)),
      run: (backend, id) =>
        Effect.suspend(() => {
          const button = buttons.get(backend)?.find((one) => one.id === id)
          return button === undefined ? Effect.void : press(backend, button)
        }),
      marks: Stream.fromPubSub(marks)
    }
  }
})

const labelOf = ({ label, lasting }: Button): string =>
  lasting === undefined ? label : `${label} for ${lasting.seconds} s`

const begun = ({ begin }: Button) => Effect.timeout(begin, patience)
