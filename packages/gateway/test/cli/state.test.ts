/** The folder of what outlives a gateway. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Option, Redacted } from "effect"
import { basename } from "node:path"
import * as State from "../../src/internal/cli/state.ts"

describe("the secrets of the state folder", () => {
  it.live("are those of the other gateway, where that one has made their files and not written them yet", () =>
    Effect.gen(function* () {
      const real = yield* FileSystem.FileSystem
      const folder = yield* real.makeTempDirectoryScoped()
      const secrets = new Map([
        ["session-key", "k".repeat(43)],
        ["operator-token", "t".repeat(43)]
      ])
      for (const name of secrets.keys()) yield* real.writeFileString(`${folder}/${name}`, "")
      const files = FileSystem.FileSystem.of({
        ...real,
        // the other one writes when this one has looked once
        readFileString: (path) =>
          Effect.tap(real.readFileString(path), (text) =>
            text === "" ? real.writeFileString(path, `${secrets.get(basename(path)) ?? ""}\n`) : Effect.void
          )
      })
      const { operatorToken, sessionKey } = yield* Effect.provideService(
        State.make(Option.some(folder)),
        FileSystem.FileSystem,
        files
      )
      assert.strictEqual(Redacted.value(operatorToken), secrets.get("operator-token"))
      assert.deepStrictEqual(
        Redacted.value(sessionKey),
        Uint8Array.from(Buffer.from(secrets.get("session-key") ?? "", "base64url"))
      )
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
