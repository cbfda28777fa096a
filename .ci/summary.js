// Sums the results that the vitest suites left behind (see .ci/test.js) into one line, after a paragraph for each
// test that failed: whoever sees only the end of a long log must be able to tell what it was.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { relative } from "node:path"

const folders = ["packages", "apps"].flatMap((parent) =>
  existsSync(parent) ? readdirSync(parent).map((name) => `${parent}/${name}`) : []
)
const files = [...folders, "bench", "examples"].flatMap((folder) =>
  ["together", "timed"].map((name) => `${folder}/node_modules/.vitest/${name}.json`)
)

if (process.argv[2] === "--clear") {
  for (const file of files) rmSync(file, { force: true })
} else {
  const results = files.filter((path) => existsSync(path)).map((path) => JSON.parse(readFileSync(path, "utf8")))
  const failures = results.flatMap(({ testResults }) => testResults.flatMap(failuresOf))
  for (const { text, title } of failures) console.log(`FAILED ${title}\n${text}\n`)
  const sum = (count) => results.reduce((all, result) => all + count(result), 0)
  const passed = sum(({ numPassedTests }) => numPassedTests)
  const skipped = sum(({ numPendingTests, numTodoTests }) => numPendingTests + numTodoTests)
  console.log(`${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`)
  if (failures.length > 0 || passed === 0) process.exitCode = 1
}

function failuresOf({ assertionResults, message, name, status }) {
  const file = relative(process.cwd(), name)
  // A file that cannot even be loaded has no tests, and is a failure all the same.
  if (status === "failed" && assertionResults.length === 0) return [{ title: file, text: message }]
  return assertionResults
    .filter((test) => test.status === "failed")
    .map(({ failureMessages, fullName }) => ({ title: `${file} > ${fullName}`, text: failureMessages.join("\n") }))
}
