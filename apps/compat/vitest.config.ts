import { defineConfig } from "vitest/config"

const bounds = { testTimeout: 60_000, hookTimeout: 180_000, fileParallelism: false }
const here = ["test/documents.test.ts", "test/parity.test.ts"]

export default defineConfig({
  test: {
    projects: [
      { test: { ...bounds, name: "in this repository", include: here } },
      {
        test: {
          ...bounds,
          name: "installed by npm",
          include: ["test/**/*.test.ts"],
          exclude: here,
          // npm installs into two folders first
          globalSetup: "test/installed.ts"
        }
      }
    ]
  }
})
