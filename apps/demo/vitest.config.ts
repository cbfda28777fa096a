import { defineConfig } from "vitest/config"

// The tour plays in real time on real servers, and on its own: two at once would disturb each other.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false
  }
})
