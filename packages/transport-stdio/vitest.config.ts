import { defineConfig } from "vitest/config"

// Real servers over real sockets: generous bounds, the tests measure what must be fast.
export default defineConfig({ test: { include: ["test/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000 } })
