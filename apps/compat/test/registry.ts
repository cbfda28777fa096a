/**
 * The published packages as a registry of npm hands them out, so that what a document says to install is installed as it stands
 * there, by any package manager, and what comes with it is found as a user's would be.
 */
import { execFile } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import { once } from "node:events"
import { globSync, readFileSync } from "node:fs"
import { readFile, readdir } from "node:fs/promises"
import { createServer, type ServerResponse } from "node:http"
import { basename, dirname, join } from "node:path"
import { promisify } from "node:util"

const run = promisify(execFile)

const root = new URL("../../../", import.meta.url)

/** The scope of all of them but the program; whatever else is installed comes from the registry that npm is configured with. */
const scope = "@vmcp-keepalive"

interface Manifest {
  readonly name: string
  readonly private?: boolean
}

/** What is published: its folders in `packages`, and its names. */
const published = globSync("packages/*/package.json", { cwd: root }).flatMap((path) => {
  const manifest: Manifest = JSON.parse(readFileSync(new URL(path, root), "utf8"))
  return manifest.private === true ? [] : [{ folder: basename(dirname(path)), name: manifest.name }]
})

/** The names of the libraries, all of the scope. */
export const packages: ReadonlyArray<string> = published
  .map(({ name }) => name)
  .filter((name) => name.startsWith(`${scope}/`))

/** A registry that runs. */
export interface Registry {
  /** a line of `.npmrc` that makes npm and pnpm ask it */
  readonly npmrc: string
  /** the packed program: its name has no scope, so it is installed by this path */
  readonly program: string
  readonly close: () => Promise<void>
}

/** Packs every published package into a folder, and serves them from there. */
export const make = async (folder: string): Promise<Registry> => {
  await Promise.all(
    published.map((each) =>
      run("pnpm", ["pack", "--pack-destination", folder], { cwd: new URL(`packages/${each.folder}`, root) })
    )
  )
  const tarballs = (await readdir(folder)).filter((name) => name.endsWith(".tgz"))
  if (tarballs.length !== published.length) throw new Error(`${tarballs.length} packages were packed`)
  let program: string | undefined
  // Package managers remember what an address said: none is used twice.
  const base = `/${randomUUID()}/`
  const answers = new Map<string, string | Buffer>()
  const server = createServer(({ url = "" }, response) => answer(response, answers.get(decodeURIComponent(url))))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("it listens on no port")
  const url = `http://127.0.0.1:${address.port}${base}`
  for (const tarball of tarballs) {
    const path = join(folder, tarball)
    const content = await readFile(path)
    const manifest: { readonly name: string; readonly version: string } = JSON.parse(
      (await run("tar", ["-xzOf", path, "package/package.json"])).stdout
    )
    const { name, version } = manifest
    if (!name.startsWith(`${scope}/`)) program = path
    const dist = {
      tarball: `${url}${tarball}`,
      integrity: `sha512-${createHash("sha512").update(content).digest("base64")}`
    }
    answers.set(`${base}${tarball}`, content)
    answers.set(
      `${base}${name}`,
      JSON.stringify({
        name,
        "dist-tags": { latest: version },
        // pnpm waits for a while before it trusts a version.
        time: { [version]: "2026-01-01T00:00:00.000Z" },
        versions: { [version]: { ...manifest, dist } }
      })
    )
  }
  if (program === undefined) throw new Error("the program was not packed")
  return {
    program,
    npmrc: `${scope}:registry=${url}\n`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    }
  }
}

const answer = (response: ServerResponse, content: string | Buffer | undefined): void => {
  if (content === undefined) return void response.writeHead(404).end()
  response.writeHead(200, {
    "content-type": typeof content === "string" ? "application/json" : "application/octet-stream"
  })
  response.end(content)
}
