// The reference: every entry of every published package, under the name by which it is imported, from the docstrings.
//
// typedoc does not run on TypeScript 7, so that this package has a TypeScript 6 of its own, for this alone. What is right in the
// sources is not its matter: TypeScript 7 has checked them.
import { globSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { Converter } from "typedoc"
import { SyntaxKind } from "typescript"

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

/**
 * Gives entries their names, and modules the comment at the head of their file: typedoc takes that for the first import's, unless it has
 * a tag of typedoc's.
 * @param {import("typedoc").Application} app
 */
const described = (app) => {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    const path = app.files.getReflectionPath(reflection)
    if (path === undefined) return
    reflection.name = entries.get(path) ?? reflection.name
    const [first] = context.program.getSourceFile(path)?.statements ?? []
    const head = first?.kind === SyntaxKind.ImportDeclaration ? context.getNodeComment(first, false) : undefined
    if (head === undefined) return
    // What stands at the export of the module is `@since`.
    head.blockTags.push(...(reflection.comment?.blockTags ?? []))
    reflection.comment = head
  })
}

/** @type {import("typedoc").TypeDocOptions & { plugin: unknown }} */
export default {
  name: "vmcp-keepalive",
  out: "api",
  entryPoints: [...entries.keys()],
  readme: "none",
  plugin: [described],
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
