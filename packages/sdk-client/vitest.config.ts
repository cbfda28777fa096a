import { defineConfig } from "vitest/config"

declare module "vitest" {
  interface ProvidedContext {
    /** which version of the MCP SDK a suite runs on */
    readonly sdk: "lowest" | "newest"
  }
}

const bounds = { testTimeout: 60_000 }

// Files share what they import: to import it takes longer than many of them take.
export default defineConfig({
  test: {
    isolate: false,
    projects: [
      { test: { ...bounds, name: "newest SDK", include: ["test/**/*.test.ts"], provide: { sdk: "newest" } } },
      {
        // the lowest version that `peerDependencies` allow
        resolve: { alias: [{ find: /^@modelcontextprotocol\/sdk\//, replacement: "sdk-lowest/" }] },
        test: {
          ...bounds,
          name: "lowest SDK",
          // those that meet the SDK
          include: ["test/{Ask,CallView,JsonSchema,Requests.wire,sdk,readme}.test.ts", "test/testing/*.test.ts"],
          provide: { sdk: "lowest" }
        }
      }
    ]
  }
})
