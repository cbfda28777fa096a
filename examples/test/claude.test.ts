/**
 * The Claude Agent SDK takes servers of SDK 1.x. Its real package, with a program of the tests' own in place of the one that it starts,
 * which asks a model.
 */
import { query } from "@anthropic-ai/claude-agent-sdk"
import { ErrorAnswer } from "@vmcp-keepalive/host"
import { toSdkServer } from "@vmcp-keepalive/host/sdk1-server"
import { Leftovers, StdioServers } from "@vmcp-keepalive/testkit"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect } from "effect"
import { join } from "node:path"
import { assert, describe, it } from "vitest"

interface Answer {
  readonly result?: { readonly content: ReadonlyArray<{ readonly text: string }> }
  readonly error?: { readonly code: number; readonly data?: unknown }
}

describe("the Claude Agent SDK", () => {
  it("does not notice that the server died under a call, but for the one call's error", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make({ within: "3 seconds" })
      const scripted = yield* StdioServers.scripted()
      const { args, command } = scripted
      const instance = toSdkServer({ id: "kept", connector: StdioPeerConnector.make({ command, args: [...args] }) })
      const turn = query({
        prompt: "go",
        options: {
          pathToClaudeCodeExecutable: join(import.meta.dirname, "programs/claude.ts"),
          executable: "node",
          mcpServers: { kept: { type: "sdk", name: "kept", instance } }
        }
      })
      const answers = yield* Effect.promise(async (): Promise<ReadonlyArray<Answer>> => {
        for await (const message of turn) {
          if (message.type === "result" && message.subtype === "success") return JSON.parse(message.result)
        }
        return []
      })
      const [before, under, after] = answers
      assert.isString(before?.result?.content[0]?.text)
      assert.strictEqual(under?.error?.code, ErrorAnswer.codes.OutcomeUnknown)
      assert.strictEqual(ErrorAnswer.dataOf(under?.error)?.executed, "unknown")
      assert.isString(after?.result?.content[0]?.text)
      assert.notDeepEqual(after, before)
      const executed = (yield* scripted.executions).map(({ tool }) => tool)
      assert.deepStrictEqual(executed, ["pid", "kill", "pid"])
      yield* Effect.promise(() => instance.close())
      assert.strictEqual(instance.state._tag, "Closed")
      yield* leftovers.check
    }).pipe(Effect.scoped, Effect.runPromise))
})
