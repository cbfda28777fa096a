// The reference: every entry of every published package, under the name by which it is imported, from the docstrings.
//
// typedoc does not run on TypeScript 7, so that this package has a TypeScript 6 of its own, for this alone. What is right in the
// sources is not its matter: TypeScript 7 has checked them.
import { globSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { Converter } from "typedoc"

const root = resolve(import.meta.dirname, "..")

/** The names of all entries, by the path of their module. */
const entries = new Map()
for (const path of globSync("packages/*/package.json", { cwd: root }).toSorted()) {
  const { exports, name, private: isPrivate } = JSON.parse(readFileSync(join(root, path), "utf8"))
  if (isPrivate) continue
  for (const [entry, target] of Object.entries(exports)) {
    // "./*" are the modules of the main entry, one by one.
    if (entry.includes("*") || typeof target?.default !== "string") continue
    const source = target.default.replace("./dist/", "src/").replace(/js$/, "ts")
    entries.set(join(root, dirname(path), source), join(name, entry))
  }
}

/** @param {import("typedoc").Application} app */
const named = (app) => {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    reflection.name = entries.get(app.files.getReflectionPath(reflection)) ?? reflection.name
  })
}

/** @type {import("typedoc").TypeDocOptions & { plugin: unknown }} */
export default {
  name: "vmcp-keepalive",
  out: "api",
  entryPoints: [...entries.keys()],
  readme: "none",
  plugin: [named],
  skipErrorChecking: true,
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  githubPages: false,
  includeVersion: false,
  disableGit: true,
  sourceLinkTemplate: "https://github.com/vmcp-keepalive/vmcp-keepalive/blob/main/{path}#L{line}",
  treatWarningsAsErrors: true,
  validation: { notExported: false, invalidLink: true, invalidPath: true, rewrittenLink: true, notDocumented: false }
}
