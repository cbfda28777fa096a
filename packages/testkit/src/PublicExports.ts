/**
 * What a package exports, read from the declarations that it publishes: for the tests that pin it.
 *
 * The pinned list is `exports.txt` in the folder of the package, one entry of its exports map after the other. `UPDATE_EXPORTS=1`
 * makes {@link changes} write it anew.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { parseSync } from "oxc-parser"

// ------------------------------------------------------------------------------------------------------------- models

/** One name that can be imported. */
export interface Exported {
  /** as one writes it: `make`, or `Backend.make` behind a namespace */
  readonly name: string
  /** what it is, in the order in which it is declared: `interface`, `const`, … */
  readonly kinds: ReadonlyArray<string>
  /** the version that its `@since` names */
  readonly since: string | undefined
  /** optional fields of it that do not accept `undefined` */
  readonly strict: ReadonlyArray<string>
}

/** What one can import from one entry of the exports map. */
export interface Entry {
  readonly specifier: string
  readonly exports: ReadonlyArray<Exported>
}

/**
 * The optional fields of a type that do not accept `undefined`, inherited ones included, which {@link strictFields} does not see:
 * `never` where each does.
 */
export type StrictFields<T> = {
  [Name in keyof T]-?: Record<never, never> extends Pick<T, Name>
    ? undefined extends Required<T>[Name]
      ? never
      : Name
    : never
}[keyof T]

// ------------------------------------------------------------------------------------------------------------ reading

/** Every entry of the package in the folder, which has to be built. */
export const read = (folder: string): ReadonlyArray<Entry> => {
  const entries = entriesOf(folder)
  const specifiers = new Map(entries.map(({ file, specifier }) => [file, specifier]))
  return entries.map(({ file, specifier }) => ({ specifier, exports: listed(file, specifiers) }))
}

/** The list as it is pinned. */
export const print = (entries: ReadonlyArray<Entry>): string =>
  entries
    .map(({ exports, specifier }) =>
      [specifier, ...exports.map(({ kinds, name }) => `  ${name}: ${kinds.join(", ")}`), ""].join("\n")
    )
    .join("\n")

/** How the exports of the package differ from those that are pinned, a line for each; writes them where that is asked for. */
export const changes = (folder: string): ReadonlyArray<string> => {
  const path = join(folder, "exports.txt")
  const now = print(read(folder))
  if (process.env["UPDATE_EXPORTS"] === "1") writeFileSync(path, now)
  const pinned = linesOf(existsSync(path) ? readFileSync(path, "utf8") : "")
  const found = linesOf(now)
  return [
    ...[...found].filter((line) => !pinned.has(line)).map((line) => `exported, and not pinned: ${line}`),
    ...[...pinned].filter((line) => !found.has(line)).map((line) => `pinned, and not exported: ${line}`)
  ]
}

/** What to do about {@link changes}. */
export const advice =
  "If that is meant, pin it with UPDATE_EXPORTS=1 pnpm --filter <package> exec vitest run test/exports.test.ts, and say in a changeset what it means for users."

/** The names without a `@since`, or with one that is no version. */
export const withoutSince = (folder: string): ReadonlyArray<string> =>
  named(folder, ({ since }) => (since === undefined ? [""] : []))

/** The optional fields that do not accept `undefined`, as a user with `exactOptionalPropertyTypes` meets them. */
export const strictFields = (folder: string): ReadonlyArray<string> =>
  named(folder, ({ strict }) => strict.map((field) => `.${field}`))

const named = (folder: string, pick: (exported: Exported) => ReadonlyArray<string>): ReadonlyArray<string> =>
  read(folder).flatMap(({ exports, specifier }) =>
    exports.flatMap((exported) => pick(exported).map((more) => `${specifier} ${exported.name}${more}`))
  )

/** The lines of a list, each under its entry. */
const linesOf = (text: string): ReadonlySet<string> => {
  const lines = new Set<string>()
  let entry = ""
  for (const line of text.split("\n")) {
    if (line.startsWith("  ")) lines.add(`${entry} ${line.trim()}`)
    else entry = line
  }
  return lines
}

// ------------------------------------------------------------------------------------------------------- exports map

interface Place {
  readonly specifier: string
  readonly file: string
}

/** The entries that have types. A pattern stands for the modules that it matches in one folder, but for those that are closed. */
const entriesOf = (folder: string): ReadonlyArray<Place> => {
  const { exports, name }: Manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  const specifierOf = (key: string) => (key === "." ? name : `${name}/${key.slice(2)}`)
  return Object.entries(exports).flatMap(([key, target]): ReadonlyArray<Place> => {
    if (target === null || typeof target === "string") return []
    const types = join(folder, target.types)
    if (!key.includes("*")) return [{ specifier: specifierOf(key), file: types }]
    return readdirSync(dirname(types))
      .filter((file) => file.endsWith(".d.ts"))
      .toSorted()
      .map((file) => ({ key: key.replace("*", file.slice(0, -".d.ts".length)), file: join(dirname(types), file) }))
      .filter((each) => !Object.hasOwn(exports, each.key))
      .map((each) => ({ specifier: specifierOf(each.key), file: each.file }))
  })
}

interface Manifest {
  readonly name: string
  readonly exports: { readonly [key: string]: null | string | { readonly types: string } }
}

// ------------------------------------------------------------------------------------------------------- declarations

/** What a module exports, namespaces opened, unless they are entries of their own. */
const listed = (file: string, specifiers: ReadonlyMap<string, string>): ReadonlyArray<Exported> => {
  const all = [...exportsOf(file)].flatMap(([name, found]): ReadonlyArray<Exported> => {
    const since = found.find((each) => each.since !== undefined)?.since
    const target = found.find((each) => each.namespace !== undefined)?.namespace
    const specifier = target === undefined ? undefined : specifiers.get(target)
    const kinds = [...new Set(found.map(({ kind }) => (specifier === undefined ? kind : `${kind} of ${specifier}`)))]
    const exported = { name, kinds, since, strict: [...new Set(found.flatMap(({ strict }) => strict))] }
    if (target === undefined || specifier !== undefined) return [exported]
    const members = listed(target, specifiers)
    return [exported, ...members.map((member) => ({ ...member, name: `${name}.${member.name}` }))]
  })
  return all.toSorted((one, other) => (one.name < other.name ? -1 : 1))
}

interface Found {
  readonly kind: string
  readonly since: string | undefined
  readonly strict: ReadonlyArray<string>
  /** the module that a namespace stands for */
  readonly namespace: string | undefined
}

const exportsOf = (file: string): ReadonlyMap<string, ReadonlyArray<Found>> => {
  const text = readFileSync(file, "utf8")
  const { comments, program } = parseSync(file, text)
  const found = new Map<string, Array<Found>>()
  const add = (name: string, ...more: ReadonlyArray<Found>) => found.set(name, [...(found.get(name) ?? []), ...more])
  const sinceOf = (start: number) => {
    const comment = comments.findLast(({ end, type }) => type === "Block" && end <= start)
    if (comment === undefined || text.slice(comment.end, start).trim() !== "") return undefined
    return /@since (\d+\.\d+\.\d+)$/m.exec(comment.value.trimEnd())?.[1]
  }
  const declared = (name: string) =>
    program.body.flatMap((statement) => declarationsOf(statement, sinceOf)).filter((each) => each.name === name)

  for (const statement of program.body) {
    const since = sinceOf(statement.start)
    if (statement.type === "ExportAllDeclaration") {
      const target = resolve(file, statement.source.value)
      if (target === undefined) throw new Error(`${file} exports all of ${statement.source.value}`)
      const { exported } = statement
      if (exported !== null) add(nameOf(exported), { kind: "namespace", since, strict: [], namespace: target })
      else for (const [name, all] of exportsOf(target)) add(name, ...all)
    }
    if (statement.type !== "ExportNamedDeclaration") continue
    for (const { name, ...declaration } of declarationsOf(statement, sinceOf)) add(name, declaration)
    for (const { exported, local } of statement.specifiers) {
      const { source } = statement
      const target = source === null ? undefined : resolve(file, source.value)
      const behind =
        target !== undefined
          ? (exportsOf(target).get(nameOf(local)) ?? [])
          : source === null
            ? declared(nameOf(local))
            : [{ kind: `of ${source.value}`, since: undefined, strict: [], namespace: undefined }]
      add(
        nameOf(exported),
        ...behind.map((each) => ({
          kind: each.kind,
          since: each.since ?? since,
          strict: each.strict,
          namespace: each.namespace
        }))
      )
    }
  }
  return found
}

/** The declarations of a package are beside each other; those of others stay closed. */
const resolve = (file: string, source: string): string | undefined =>
  source.startsWith(".") ? join(dirname(file), source.replace(/\.[jt]s$/, ".d.ts")) : undefined

type Statement = ReturnType<typeof parseSync>["program"]["body"][number]
type Name = Extract<Statement, { readonly type: "ExportNamedDeclaration" }>["specifiers"][number]["local"]

const nameOf = (name: Name): string => (name.type === "Literal" ? name.value : name.name)

const declarationsOf = (
  statement: Statement,
  sinceOf: (start: number) => string | undefined
): ReadonlyArray<Found & { readonly name: string }> => {
  const declaration = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement
  if (declaration === null) return []
  const found = (kind: string, name: string) => [
    { name, kind, since: sinceOf(statement.start), strict: strictIn(declaration), namespace: undefined }
  ]
  switch (declaration.type) {
    case "VariableDeclaration":
      return declaration.declarations.flatMap(({ id }) => {
        if (id.type !== "Identifier") return []
        return found(id.typeAnnotation?.typeAnnotation.type === "TSFunctionType" ? "function" : "const", id.name)
      })
    case "FunctionDeclaration":
    case "TSDeclareFunction":
      return declaration.id === null ? [] : found("function", declaration.id.name)
    case "ClassDeclaration":
      return declaration.id === null ? [] : found("class", declaration.id.name)
    case "TSInterfaceDeclaration":
      return found("interface", declaration.id.name)
    case "TSTypeAliasDeclaration":
      return found("type", declaration.id.name)
    default:
      return []
  }
}

/** The names of optional fields in a declaration whose type does not say `undefined` itself. */
const strictIn = (node: unknown): ReadonlyArray<string> => {
  if (Array.isArray(node)) return node.flatMap(strictIn)
  if (typeof node !== "object" || node === null) return []
  const isStrict = isOptional(node) && !acceptsUndefined(node)
  return [...(isStrict ? [keyOf(node)] : []), ...Object.values(node).flatMap(strictIn)]
}

const isOptional = (node: object): boolean => {
  const type = field(node, "type")
  const optional = field(node, "optional")
  return (
    (type === "TSPropertySignature" && optional === true) ||
    (type === "TSMappedType" && optional !== false && optional !== "-")
  )
}

const acceptsUndefined = (node: object): boolean => {
  const annotation = field(node, "typeAnnotation")
  const written = field(annotation, "type") === "TSTypeAnnotation" ? field(annotation, "typeAnnotation") : annotation
  const members = field(written, "types")
  const types = field(written, "type") === "TSUnionType" && Array.isArray(members) ? members : [written]
  return types.some((type) => lax.has(String(field(type, "type"))))
}

const lax = new Set(["TSUndefinedKeyword", "TSUnknownKeyword", "TSAnyKeyword"])

const keyOf = (node: object): string => {
  const key = field(node, "key")
  return String(field(key, "name") ?? field(key, "value") ?? key)
}

const field = (node: unknown, name: string): unknown =>
  typeof node === "object" && node !== null ? Reflect.get(node, name) : undefined
