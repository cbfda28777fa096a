import { defineConfig } from "vitest/config"

// The tour plays in real time on real servers.
export default defineConfig({ test: { include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 } })
