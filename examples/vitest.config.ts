import { defineConfig } from "vitest/config"

// Rows mostly wait: many of them run beside each other in a file, and two files at a time.
export default defineConfig({ test: { testTimeout: 60_000, hookTimeout: 60_000, maxConcurrency: 21, maxWorkers: 2 } })
