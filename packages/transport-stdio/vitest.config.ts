import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

// Real servers: generous bounds, the tests measure what must be fast.
const bounds = { testTimeout: 60_000, hookTimeout: 60_000, isolate: false }
/** They say how many milliseconds after a bare child's exit something happens, so that nothing else may run beside them. */
const timed = ["test/backend/calls.test.ts", "test/connector/death.test.ts"]

export default defineConfig({
  test: {
    sequence: { sequencer: longestFirst("sdk2/faults.test.ts", "hostile/hostile.test.ts", "sdk2/negotiation.test.ts") },
    projects: [
      {
        // They mostly wait.
        test: {
          ...bounds,
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: timed,
          maxWorkers: 3,
          sequence: { groupOrder: 0 }
        }
      },
      { test: { ...bounds, name: "timed", include: timed, maxWorkers: 1, sequence: { groupOrder: 1 } } }
    ]
  }
})
