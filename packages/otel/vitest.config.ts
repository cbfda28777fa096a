import { defineConfig } from "vitest/config"

// The suite that asks a real Prometheus mostly waits, so another one runs meanwhile. Files share what they import: to
// import it takes longer than many of them take.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 30_000, isolate: false, maxWorkers: 2 }
})
