import { defineConfig } from "vitest/config"

// Real servers: generous bounds, the tests measure what must be fast. They mostly wait, so two files run at a time.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 30_000, maxWorkers: 2 }
})
