import { defineConfig } from "vitest/config"

// Real servers: generous bounds, the tests measure what must be fast. They mostly wait, so two files run at a time.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000, maxWorkers: 2 }
})
