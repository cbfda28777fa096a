/** Calls of tools that several servers have. */
import type { Call } from "../McpServer.ts"

export const echo = (message: string): Call => ({ name: "echo", arguments: { message } })

/** Of the servers of ours. */
export const slow = (seconds: number): Call => ({ name: "slow", arguments: { ms: seconds * 1000 } })

/** Of server-everything. */
export const longOperation = (seconds: number): Call => ({
  name: "trigger-long-running-operation",
  arguments: { duration: seconds, steps: 1 }
})
