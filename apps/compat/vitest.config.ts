import { defineConfig } from "vitest/config"

// npm installs into two folders first.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/installed.ts",
    testTimeout: 60_000,
    hookTimeout: 180_000,
    fileParallelism: false
  }
})
