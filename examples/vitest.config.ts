import { defineConfig } from "vitest/config"

const shared = { testTimeout: 120_000, hookTimeout: 60_000 }

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      // Alone: the server that dies here must be back while a call waits for it, 10 s at most, and a busy machine starts none in time.
      { test: { ...shared, name: "programs", include: ["test/examples.test.ts"], sequence: { groupOrder: 0 } } },
      // Rows mostly wait: about three groups of them run beside each other in a file, and two files at a time.
      {
        test: {
          ...shared,
          name: "frameworks",
          include: ["test/*.test.ts"],
          exclude: ["test/examples.test.ts"],
          maxConcurrency: 36,
          sequence: { groupOrder: 1 }
        }
      }
    ]
  }
})
