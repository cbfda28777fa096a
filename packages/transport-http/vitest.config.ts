import { defineConfig } from "vitest/config"

// Real servers over real sockets: generous bounds, the tests measure what must be fast.
const bounds = { testTimeout: 60_000, hookTimeout: 60_000 }
/** They say within how many milliseconds something happens, so that nothing else may run beside them. */
const timed = ["test/connector/**/*.test.ts"]

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...bounds,
          name: "two at a time",
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
