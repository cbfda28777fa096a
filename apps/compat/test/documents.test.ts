/** The documents name what there is: nothing is left out, and nothing is in them that has gone. */
import { assert, describe, it } from "@effect/vitest"
import { BackendError, FailureReason, KeepalivePolicy } from "@vmcp-keepalive/core"
import { existsSync, globSync } from "node:fs"
import { dirname, join } from "node:path"
import { parse } from "yaml"
import { blocks, documents, place, read, root } from "./documents.ts"

interface Manifest {
  readonly name: string
  readonly scripts?: Record<string, string>
  readonly dependencies?: Record<string, string>
  readonly devDependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

/** Every package of this repository, by the folder in which it is. */
const manifests = new Map<string, Manifest>(
  globSync("{package.json,{packages,apps}/*/package.json,{bench,docs}/package.json}", { cwd: root }).map((path) => [
    dirname(path),
    JSON.parse(read(path))
  ])
)

const scripts = new Set(Object.keys(manifests.get(".")?.scripts ?? {}))

/** What is made here, and whatever this is tested or built with. */
const packages = new Set([
  "pnpm",
  ...[...manifests.values()].flatMap(({ dependencies, devDependencies, name, peerDependencies }) => [
    name,
    ...Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies })
  ])
])

const withoutVersion = (name: string): string => /^@?[^@]+/.exec(name)?.[0] ?? name

/** What is wrong with a command of pnpm: `[--filter NAME] exec TOOL …`, or a script. */
const wrongInPnpm = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const words = args.filter((arg) => arg !== "--silent")
  const [first = "", second = "", third = "", fourth = "", ...rest] = words
  if (first !== "--filter") {
    return scripts.has(first) || ["add", "install", "exec"].includes(first) ? [] : [`there is no script ${first}`]
  }
  const [folder, manifest] = [...manifests].find(([, { name }]) => name === second) ?? []
  if (folder === undefined) return [`there is no package ${second} here`]
  if (third !== "exec") return manifest?.scripts?.[third] === undefined ? [`${second} has no script ${third}`] : []
  // `vitest` takes the path of a file or of a folder
  const paths = fourth === "vitest" ? rest.filter((arg) => arg.startsWith("test/")) : []
  return paths.filter((path) => !existsSync(join(root, folder, path))).map((path) => `${second} has no ${path}`)
}

/** What is wrong with a command: packages that are not known here, scripts and files that do not exist. */
const wrongInCommand = (command: string): ReadonlyArray<string> => {
  const [name = "", ...args] = command.split(/\s+/).filter((word) => !/^\w+=/.test(word))
  const operands = args.filter((arg) => !arg.startsWith("-"))
  const unknown = (names: ReadonlyArray<string>) =>
    names.filter((name) => !packages.has(withoutVersion(name))).map((name) => `the package ${name} is not known here`)
  switch (name) {
    case "npm":
      return operands[0] === "install" ? unknown(operands.slice(1)) : [`npm ${operands[0]} is not checked`]
    case "npx":
      return withoutVersion(operands[0] ?? "") === "pnpm"
        ? wrongInPnpm(args.slice(args.findIndex((arg) => arg.startsWith("pnpm")) + 1))
        : unknown(operands.slice(0, 1))
    case "pnpm":
      return wrongInPnpm(args)
    default:
      return name.startsWith(".") && !existsSync(join(root, name)) ? [`there is no file ${name}`] : []
  }
}

const commandsOf = (code: string): ReadonlyArray<string> =>
  code
    .replaceAll("\\\n", " ")
    .split("\n")
    .flatMap((line) => line.replace(/(^|\s)#.*/, "").split("&&"))
    .map((command) => command.trim())
    .filter((command) => command !== "")

/** What is wrong with a block, for each language in which there are any. TypeScript is compiled where the packages are installed. */
const wrong: Record<string, (code: string) => ReadonlyArray<string>> = {
  "": () => [],
  // A test of the core compares it with the table.
  mermaid: () => [],
  ts: () => [],
  // A test of the cluster runs them on a real Postgres.
  sql: () => [],
  // nginx is not among what npm brings.
  nginx: () => [],
  sh: (code) => commandsOf(code).flatMap(wrongInCommand),
  json: (code) => thrownBy(() => JSON.parse(code)),
  yaml: (code) => thrownBy(() => parse(code))
}

const thrownBy = (body: () => unknown): ReadonlyArray<string> => {
  try {
    body()
    return []
  } catch (error) {
    return [String(error)]
  }
}

/** What stands between two backticks on one line, outside of blocks. */
const inlineCode = (text: string): ReadonlyArray<string> =>
  [...text.replaceAll(/^\s*```[^]*?^\s*```$/gm, "").matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "")

/** The anchors of the headings of a document, as GitHub makes them. */
const anchorsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-")
  )

/** The links of a document that lead nowhere in this repository. */
const brokenLinks = (document: string): ReadonlyArray<string> =>
  [...read(document).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [path = "", anchor] = link.split("#")
      const target = path === "" ? document : join(dirname(document), path)
      if (!existsSync(join(root, target))) return true
      if (anchor === undefined) return false
      return !anchorsOf(read(target.endsWith(".md") ? target : join(target, "README.md"))).includes(anchor)
    })

describe("every document", () => {
  it("is found", () => {
    assert.includeMembers([...documents], ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
    assert.includeMembers([...documents], ["docs/guides/policy.md", "packages/core/README.md", "bench/README.md"])
  })

  it("has blocks in languages that are checked, and nothing is wrong with them", () => {
    const found = blocks.flatMap((block) =>
      (wrong[block.language]?.(block.code) ?? [`blocks in ${block.language} are not checked`]).map(
        (what) => `${place(block)}: ${what}`
      )
    )
    assert.deepStrictEqual(found, [])
  })

  it("names commands of this repository that there are", () => {
    const found = documents.flatMap((document) =>
      inlineCode(read(document))
        .filter((code) => /^(pnpm|npx) |^\w+=\S+ pnpm /.test(code))
        .flatMap((code) => wrongInCommand(code).map((what) => `${document}: ${code}: ${what}`))
    )
    assert.deepStrictEqual(found, [])
  })

  it("links to what there is", () => {
    const found = documents.flatMap((document) => brokenLinks(document).map((link) => `${document}: ${link}`))
    assert.deepStrictEqual(found, [])
  })
})

/** The names in the first column of a guide's tables, below a heading of that column. */
const named = (guide: string, heading: string) => {
  const table =
    read(`docs/guides/${guide}.md`)
      .split("\n\n")
      .find((part) => part.startsWith(`| ${heading} |`)) ?? ""
  return table
    .split("\n")
    .slice(2)
    .flatMap((line) => /^\| `(\w+)`/.exec(line)?.[1] ?? [])
    .toSorted()
}

describe("the guide", () => {
  it("to the policy has every setting", () => {
    assert.deepStrictEqual(
      named("policy", "setting"),
      Object.keys(KeepalivePolicy.FileOptions.fields).concat("cadence").toSorted()
    )
  })

  it("to errors has every error and every reason", () => {
    const errors = BackendError.BackendError.members.flatMap((member) =>
      "identifier" in member ? [member.identifier] : member.members.map(({ identifier }) => identifier)
    )
    assert.deepStrictEqual(named("errors", "error"), errors.toSorted())
    assert.deepStrictEqual(named("errors", "reason"), [...FailureReason.all].toSorted())
  })
})
