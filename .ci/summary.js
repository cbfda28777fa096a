// Sums the results that the vitest suites left behind (see the root script `test`) into one line.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs"

const folders = ["packages", "apps"].flatMap((parent) =>
  existsSync(parent) ? readdirSync(parent).map((name) => `${parent}/${name}`) : []
)
const files = [...folders, "bench"].map((folder) => `${folder}/node_modules/.vitest/results.json`)

if (process.argv[2] === "--clear") {
  for (const file of files) rmSync(file, { force: true })
} else {
  const count = { passed: 0, failed: 0, skipped: 0 }
  for (const file of files.filter((path) => existsSync(path))) {
    const results = JSON.parse(readFileSync(file, "utf8"))
    count.passed += results.numPassedTests
    count.failed += results.numFailedTests
    count.skipped += results.numPendingTests + results.numTodoTests
    // A file that cannot even be loaded has no tests to count, and is a failure all the same.
    count.failed += results.testResults.filter(
      ({ assertionResults, status }) => status === "failed" && assertionResults.length === 0
    ).length
  }
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ""
  console.log(`${count.passed} passed, ${count.failed} failed${skipped}`)
  if (count.failed > 0 || count.passed === 0) process.exitCode = 1
}
