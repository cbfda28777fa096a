/**
 * The processes of a stdio server: a child of this program, which leads a group, and what it has started. A backend has
 * one such group at a time.
 */
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import type { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"

/** Which of them: the one that the backend started, those behind it, or every one. */
export type Whose = "leader" | "followers" | "group"

/** Sends a signal; succeeds with `performance.now()` of just before. Fails when the server is not running. */
export const signal = (server: StdioServers.StdioServer, whose: Whose, name: NodeJS.Signals) =>
  Effect.map(leader(server), (leader) => {
    const mark = performance.now()
    for (const pid of targets[whose](leader)) ProcessGroups.signal(pid, name)
    return mark
  })

const targets: Readonly<Record<Whose, (leader: number) => ReadonlyArray<number>>> = {
  leader: (leader) => [leader],
  followers: (leader) =>
    ProcessGroups.members(leader)
      .map(({ pid }) => pid)
      .filter((pid) => pid !== leader),
  group: (leader) => [-leader]
}

/** Other children of this program have other command lines. */
const leader = ({ args, command }: StdioServers.StdioServer) =>
  Effect.suspend(() => {
    const line = [command, ...args].join(" ")
    return Effect.fromNullishOr(ProcessGroups.children().find((child) => child.command === line)?.pid)
  })
