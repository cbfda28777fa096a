/** The faults that a person can do to a backend on the page: for each that its transport has, how it begins and how it ends. */
import { Fault } from "@vmcp-keepalive/testkit"
import type { McpServer } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import type { ProxiedPlace } from "./Place.ts"
import * as Processes from "./Processes.ts"
import * as Traffic from "./Traffic.ts"
import type { World } from "./World.ts"

/** One of them. */
export interface Button {
  readonly id: string
  /** what it does */
  readonly label: string
  readonly begin: Effect.Effect<unknown, unknown>
  /** Of one that lasts, how it ends, when that happens by itself, and what ends it before; default: it is over when it has begun. */
  readonly lasting?: {
    readonly end: Effect.Effect<unknown, unknown>
    readonly seconds: number
    readonly endLabel: string
  }
}

/** Those of every backend, by its id. */
export const all = (world: World): ReadonlyMap<string, ReadonlyArray<Button>> => {
  const { effectMcp, everything, mcpProxy, scripted, sdk2, supergateway } = world
  return new Map([
    ...[everything, supergateway, effectMcp, sdk2, scripted].map(
      (place) => [place.id, [...http(place), mute(place)]] as const
    ),
    [mcpProxy.id, [...http(mcpProxy), zombie(mcpProxy.server)]],
    [world.filesystem.id, filesystem(world)],
    [world.scriptedSh.id, shell(world)]
  ])
}

/** By the proxy, until it heals. */
const proxied = (
  { proxy }: ProxiedPlace,
  {
    endLabel,
    fault,
    id,
    label
  }: { readonly fault: Fault.Fault; readonly id: string; readonly label: string; readonly endLabel: string }
): Button => ({
  id,
  label,
  begin: proxy.inject(fault),
  lasting: { end: proxy.heal, seconds: 10, endLabel }
})

const http = (place: ProxiedPlace): ReadonlyArray<Button> => {
  const { server } = place
  const post = { method: "POST" } as const
  return [
    {
      id: "kill",
      label: "Kill",
      begin: server.kill,
      lasting: { end: server.start, seconds: 5, endLabel: "Start it now" }
    },
    {
      id: "freeze",
      label: "Freeze",
      begin: server.freeze,
      lasting: { end: server.thaw, seconds: 10, endLabel: "Thaw it now" }
    },
    proxied(place, {
      id: "cut",
      label: "Cut answers",
      fault: Fault.CutMidChunk({ on: { ...post, rpc: "tools/call" } }),
      endLabel: "Stop cutting now"
    }),
    proxied(place, { id: "drop", label: "Drop everything", fault: Fault.SilentDrop(), endLabel: "Stop dropping now" }),
    proxied(place, { id: "refuse", label: "Refuse connections", fault: Fault.Refuse(), endLabel: "Listen again now" }),
    proxied(place, {
      id: "429",
      label: "Answer 429",
      fault: Fault.Answer({ on: post, status: 429, headers: { "retry-after": "1" }, body: "" }),
      endLabel: "Stop answering 429 now"
    }),
    proxied(place, {
      id: "401",
      label: "Answer 401",
      fault: Fault.Answer({ on: post, status: 401, body: "" }),
      endLabel: "Stop answering 401 now"
    })
  ]
}

/** It answers all but the calls of tools. */
const mute = (place: ProxiedPlace): Button =>
  proxied(place, {
    id: "zombie",
    label: "Zombie: swallow calls, answer the rest",
    fault: Fault.SilentDrop({ on: { method: "POST", rpc: "tools/call" } }),
    endLabel: "Stop swallowing now"
  })

/** A gateway that answers for a server that is dead. */
const zombie = (server: McpServer.Gateway): Button => ({
  id: "zombie",
  label: "Zombie: kill the server behind it",
  begin: server.killBackend,
  lasting: { end: server.restart, seconds: 10, endLabel: "Restart it now" }
})

const filesystem = ({ filesystem: { server } }: World): ReadonlyArray<Button> => [
  { id: "kill", label: "Kill", begin: Processes.signal(server, "leader", "SIGKILL") },
  { id: "freeze", label: "Freeze, until it is restarted", begin: Processes.signal(server, "group", "SIGSTOP") }
]

const shell = ({ scriptedSh }: World): ReadonlyArray<Button> => {
  const { server } = scriptedSh
  return [
    { id: "kill", label: "Kill", begin: Processes.signal(server, "followers", "SIGKILL") },
    { id: "freeze", label: "Freeze, until it is restarted", begin: Processes.signal(server, "group", "SIGSTOP") },
    {
      id: "refuse",
      label: "Kill, and exit 1 at start",
      begin: Effect.andThen(server.refuse, Processes.signal(server, "followers", "SIGKILL")),
      lasting: { end: server.admit, seconds: 10, endLabel: "Start again now" }
    },
    {
      id: "zombie",
      label: "Zombie: alive, and deaf",
      begin: Traffic.callTool(scriptedSh, { name: "closeStdin", arguments: {} }, { idempotent: false })
    }
  ]
}
