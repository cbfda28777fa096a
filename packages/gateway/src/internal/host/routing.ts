/**
 * Where a request of a host's goes. Nothing here is asked, and nothing waits.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { Kind } from "../catalogue/kinds.ts"
import type { Backends } from "../lanes/backends.ts"
import type { Lane } from "../lanes/lane.ts"
import * as Answers from "./answers.ts"
import type { Recent } from "./recent.ts"

/** What is looked at. */
export interface Routes {
  readonly backends: Backends
  readonly lanes: ReadonlyMap<string, Lane>
  /** by URI, the ids of backends */
  readonly subscriptions: ReadonlyMap<string, string>
  /** the URIs that results of tools have named, and the backends whose results they were */
  readonly links: Recent<string, string>
  /** by task id, the same */
  readonly tasks: Recent<string, string>
}

/** Where it goes, and what it says there. */
export interface Target {
  readonly _tag: "Lane"
  readonly lane: Lane
  readonly params: Message.Params | undefined
}

/** It is nobody's, as far as these lists are known; with none, whatever is listed. */
export interface Unknown {
  readonly _tag: "Unknown"
  readonly kinds: ReadonlyArray<Kind>
  readonly error: Message.ErrorAnswer["error"]
}

const ofResources: ReadonlyArray<Kind> = ["resources", "resourceTemplates"]

/** See the module. */
export const route = ({ method, params }: Message.Request, routes: Routes): Target | Unknown => {
  switch (method) {
    case "tools/call":
    case "prompts/get": {
      const kind = method === "tools/call" ? "tools" : "prompts"
      return named(kind, params?.["name"], routes, (name) => ({ ...params, name }))
    }
    case "resources/read":
    case "resources/subscribe":
    case "resources/unsubscribe":
      return toLane(ownerOf(params?.["uri"], routes), params, routes) ?? notFound(params?.["uri"])
    case "completion/complete":
      return completion(params, routes)
    case "tasks/get":
    case "tasks/result":
    case "tasks/cancel": {
      const task = params?.["taskId"]
      const backend = typeof task === "string" ? routes.tasks.get(task) : undefined
      return toLane(backend ?? routes.backends.tools.alone, params, routes) ?? nobodys
    }
    default:
      // What is not known here is not merged either: it passes where there is one to pass it to.
      return toLane(routes.backends.tools.alone, params, routes) ?? nobodys
  }
}

const nobodys: Unknown = { _tag: "Unknown", kinds: [], error: Answers.methodNotFound }

const notFound = (uri: unknown): Unknown => ({
  _tag: "Unknown",
  kinds: ofResources,
  error: Answers.resourceNotFound(uri)
})

const named = (
  kind: "tools" | "prompts",
  shown: unknown,
  { backends, lanes }: Routes,
  params: (name: string) => Message.Params
): Target | Unknown => {
  const target = typeof shown === "string" ? backends[kind].target(shown) : undefined
  const member = target && backends.members.get(target.backend)
  const lane = target && lanes.get(target.backend)
  return target === undefined ||
    lane === undefined ||
    member === undefined ||
    (kind === "tools" && !member.shows(target.name))
    ? {
        _tag: "Unknown",
        kinds: [kind],
        error: Answers.invalidParams(kind === "tools" ? "Unknown tool" : "Unknown prompt")
      }
    : { _tag: "Lane", lane, params: params(target.name) }
}

const completion = (params: Message.Params | undefined, routes: Routes): Target | Unknown => {
  const ref = params?.["ref"]
  const { name, type, uri }: Readonly<Record<string, unknown>> =
    typeof ref === "object" && ref !== null ? { ...ref } : {}
  if (type === "ref/prompt")
    return named("prompts", name, routes, (own) => ({ ...params, ref: { ...Object(ref), name: own } }))
  return toLane(ownerOf(uri, routes), params, routes) ?? notFound(uri)
}

const ownerOf = (uri: unknown, { backends, lanes, links, subscriptions }: Routes): string | undefined => {
  if (typeof uri !== "string") return undefined
  return subscriptions.get(uri) ?? backends.resources.owner(uri) ?? links.get(uri) ?? onlyWithResources(lanes)
}

/** Servers need not list what they have: where one alone can have any, it is that one's. */
const onlyWithResources = (lanes: Routes["lanes"]): string | undefined => {
  let only: string | undefined
  for (const { id, server } of lanes.values()) {
    // one that was never seen may have resources as well
    if (server !== undefined && server.capabilities["resources"] === undefined) continue
    if (only !== undefined) return undefined
    only = id
  }
  return only
}

const toLane = (
  backend: string | undefined,
  params: Message.Params | undefined,
  { lanes }: Routes
): Target | undefined => {
  const lane = backend === undefined ? undefined : lanes.get(backend)
  return lane && { _tag: "Lane", lane, params }
}

// ------------------------------------------------------------------------------------------------------ what is learned

/** The URIs of resources that the result of a tool names. */
export const linksOf = ({ content }: Message.Result): ReadonlyArray<string> => {
  if (!Array.isArray(content)) return []
  const links: Array<string> = []
  for (const block of content) {
    if (typeof block !== "object" || block === null) continue
    const uri = block.type === "resource_link" ? block.uri : block.type === "resource" ? block.resource?.uri : undefined
    if (typeof uri === "string") links.push(uri)
  }
  return links
}

/** The id of the task that the result of a tool is the beginning of. */
export const taskOf = ({ task }: Message.Result): string | undefined => {
  const id = typeof task === "object" && task !== null && "taskId" in task ? task.taskId : undefined
  return typeof id === "string" ? id : undefined
}
