import { defineConfig } from "vitest/config"

// Rows mostly wait: about three groups of them run beside each other in a file, and two files at a time.
export default defineConfig({ test: { testTimeout: 120_000, hookTimeout: 60_000, maxConcurrency: 36, maxWorkers: 2 } })
