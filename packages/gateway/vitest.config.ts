import { defineConfig } from "vitest/config"

const times = { testTimeout: 120_000, hookTimeout: 60_000 }

const whole = ["test/cli/serve.test.ts"]

// Real servers and a browser: generous bounds. They mostly wait, so two files run at a time. The suite that holds the program to its two
// seconds runs alone, before the others: it measures real time, and a browser beside it takes what the processes need to end.
export default defineConfig({
  test: {
    projects: [
      {
        test: { ...times, name: "alone", include: whole, maxWorkers: 1, sequence: { groupOrder: 0 } }
      },
      {
        test: {
          ...times,
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: whole,
          maxWorkers: 2,
          isolate: false,
          sequence: { groupOrder: 1 }
        }
      }
    ]
  }
})
