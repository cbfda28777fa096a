import { defineConfig } from "vitest/config"

// Real servers and a browser: generous bounds. They mostly wait, so two files run at a time.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 60_000, maxWorkers: 2, isolate: false }
})
