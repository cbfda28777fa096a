import { defineConfig } from "vitest/config"

const bounds = { testTimeout: 30_000, hookTimeout: 30_000, isolate: false }
/** Says within how many seconds a page is read, with processes of its own for every core: nothing else may run beside it. */
const timed = "test/load.test.ts"

// The suite that asks a real Prometheus mostly waits, so another one runs meanwhile. Files share what they import: to
// import it takes longer than many of them take.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...bounds,
          name: "two at a time",
          include: ["test/**/*.test.ts"],
          exclude: [timed],
          maxWorkers: 2,
          sequence: { groupOrder: 0 }
        }
      },
      { test: { ...bounds, name: "timed", include: [timed], maxWorkers: 1, sequence: { groupOrder: 1 } } }
    ]
  }
})
