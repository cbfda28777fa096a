import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

// Real servers: generous bounds, the tests measure what must be fast. Files mock modules of their own, so each has its modules to itself.
const bounds = { testTimeout: 60_000, hookTimeout: 60_000 }
/** They say within how many milliseconds, or at which pace, something happens, so that nothing else may run beside them. */
const timed = ["backend/calls", "backend/frozen", "backend/storm", "connector/death"].map(
  (name) => `test/${name}.test.ts`
)

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
          maxWorkers: 2,
          sequence: { groupOrder: 0 }
        }
      },
      { test: { ...bounds, name: "timed", include: timed, maxWorkers: 1, sequence: { groupOrder: 1 } } }
    ]
  }
})
