/** A stdio server behind a shell, as wrappers start it, which can be told not to. */
import type { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, FileSystem } from "effect"

/** What is added to the server. */
export interface Refusing {
  /** From now on the shell writes {@link complaint} to stderr and exits with 1 instead. */
  readonly refuse: Effect.Effect<void, unknown>
  readonly admit: Effect.Effect<void, unknown>
}

/** A line of the server's own, for its callers alone. */
export const complaint = "config.json: permission denied"

/** The shell stays the parent of the server and ends as it did. */
const script = 'if [ -e "$1" ]; then echo "$2" >&2; exit 1; fi; shift 2; "$@"; exit $?'

/** The same server behind `sh -c`. */
export const through = Effect.fnUntraced(function* <Server extends StdioServers.StdioServer>(server: Server) {
  const fs = yield* FileSystem.FileSystem
  const refusal = `${yield* fs.makeTempDirectoryScoped({ prefix: "vmcp-demo-" })}/refusal`
  const refusing: Refusing = {
    refuse: fs.writeFileString(refusal, ""),
    admit: fs.remove(refusal)
  }
  const args = ["-c", script, "sh", refusal, complaint, server.command, ...server.args]
  return { ...server, ...refusing, command: "sh", args }
})
