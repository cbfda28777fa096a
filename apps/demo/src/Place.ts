/** A backend with everything around it, whatever its transport. */
import type { Backend, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import type { FaultProxy, McpServer } from "@vmcp-keepalive/testkit"
import { Duration } from "effect"

/** What the tour calls, and asks what it executed. */
export type Server = Pick<McpServer.McpServer, "echo" | "executions">

/** A backend, and the server that it is kept connected to. */
export interface Place<Called extends Server = Server> {
  readonly id: string
  readonly server: Called
  readonly backend: Backend.Backend<Peer.Peer>
  readonly policy: KeepalivePolicy.KeepalivePolicy
}

/** One that reaches its server over HTTP, through a proxy that does what networks do. */
export interface ProxiedPlace<Called extends McpServer.McpServer = McpServer.McpServer> extends Place<Called> {
  readonly proxy: FaultProxy.FaultProxy
}

/** Within what a death is noticed, as the policy promises it. */
export const bounds = ({ policy: { confirmInterval, failureThreshold, interval, timeout } }: Place) => {
  const firstMiss = Duration.sum(Duration.times(interval, 1.1), timeout)
  return {
    /** until the first probe is missed, no call in flight */
    firstMiss,
    /** until the session is given up */
    death: Duration.sum(firstMiss, Duration.times(Duration.sum(confirmInterval, timeout), failureThreshold - 1))
  }
}
