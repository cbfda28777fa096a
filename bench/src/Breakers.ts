/** The circuit breakers of others, each as its documents make it: closed, and open after one failure. */
import { circuitBreaker, ConsecutiveBreaker, handleAll } from "cockatiel"
import { Effect, type Scope } from "effect"
import { CircuitBreaker } from "effect/persistence"
import Opossum from "opossum"

const failing = () => Promise.reject(new Error("down"))
const anHour = 3_600_000

/** One of cockatiel. */
export const cockatiel = () => circuitBreaker(handleAll, { halfOpenAfter: anHour, breaker: new ConsecutiveBreaker(1) })

/** One of cockatiel that is open. */
export const cockatielOpen = Effect.promise(async () => {
  const breaker = cockatiel()
  await breaker.execute(failing).catch(() => {})
  return breaker
})

/** One of opossum around a function; it has a timer, which `shutdown` ends. */
export const opossum = <A>(action: () => Promise<A>) =>
  new Opossum(action, { timeout: false, resetTimeout: anHour, errorThresholdPercentage: 1, volumeThreshold: 0 })

/** One of opossum that is open. */
export const opossumOpen = Effect.acquireRelease(
  Effect.promise(async () => {
    const breaker = opossum(failing)
    await breaker.fire().catch(() => {})
    return breaker
  }),
  (breaker) => Effect.sync(() => breaker.shutdown())
)

/** Effect's, with its store in memory. */
export const effect: Effect.Effect<CircuitBreaker.CircuitBreaker, never, Scope.Scope> = CircuitBreaker.make({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "1 hour"
}).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()))
