// Fails when .changeset/ could not be released: a broken config, a changeset for an unknown package, a bad bump type.
// `changeset status` asks the same and compares with the main branch; this needs no git, no branch and no remote.
import { readdirSync } from "node:fs"
import { getReleasePlan } from "@changesets/get-release-plan"

const { changesets, releases } = await getReleasePlan(process.cwd())
const files = readdirSync(".changeset").filter((name) => name.endsWith(".md") && name !== "README.md")
if (changesets.length !== files.length) {
  throw new Error(`${files.length} changeset files, but ${changesets.length} of them can be read`)
}
console.log(`${changesets.length} changesets`)
for (const { name, newVersion, type } of releases) {
  if (type !== "none") console.log(`  ${name} ${newVersion} (${type})`)
}
