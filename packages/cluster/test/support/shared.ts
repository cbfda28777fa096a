/** A database that the tests of a file share. */
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import { pglite, type Storage } from "./storage.ts"

/** It is there before the first test of the file, or of the block, and gone after the last one. All processes on it have one lease. */
export const shared = (storage: typeof pglite = pglite): (() => Storage) => {
  const scope = Scope.makeUnsafe()
  let made: Storage
  beforeAll(async () => {
    made = await Effect.runPromise(Scope.provide(storage, scope))
  }, 60_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return () => made
}
