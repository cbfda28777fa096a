import { defineConfig } from "vitest/config"

const bounds = { testTimeout: 60_000, isolate: false }
/** Says within how many milliseconds a fault strikes, so that nothing else may run beside it. */
const timed = "test/FaultProxy.test.ts"

// Servers that start and end: they mostly wait.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...bounds,
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: [timed],
          maxWorkers: 3,
          sequence: { groupOrder: 0 }
        }
      },
      { test: { ...bounds, name: "timed", include: [timed], maxWorkers: 1, sequence: { groupOrder: 1 } } }
    ]
  }
})
