import { defineConfig } from "vitest/config"

// Real servers over real sockets: generous bounds, the tests measure what must be fast. One file at a time: two disturb
// each other's timing on a small machine.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000, maxWorkers: 1 }
})
