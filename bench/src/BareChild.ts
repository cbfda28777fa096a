/** The process of a stdio server as Node starts and ends it, without a client. */
import { getDefaultEnvironment } from "@modelcontextprotocol/sdk/client/stdio.js"
import type { StdioServers } from "@vmcp-keepalive/testkit"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"

/** Starts it. */
export const start = ({ args, command }: StdioServers.StdioServer) => {
  const child = spawn(command, args, { env: getDefaultEnvironment(), stdio: "pipe" })
  // read to their end, so that nothing of it stays open
  child.stdout.resume()
  child.stderr.resume()
  return child
}

/** Starts it, and waits until it has answered something. */
export const startAndAsk = async (server: StdioServers.StdioServer) => {
  const child = start(server)
  child.stdin.write(`${JSON.stringify(initialize)}\n`)
  await once(child.stdout, "data")
  return child
}

const initialize = { jsonrpc: "2.0", id: 0, method: "initialize", params: { protocolVersion: "2025-11-25" } }

/** Kills it, and waits for Node to say that it has ended. */
export const kill = async (child: ChildProcess): Promise<void> => {
  const ended = once(child, "exit")
  child.kill("SIGKILL")
  await ended
}
