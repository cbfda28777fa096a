/** Clients that others have made, on the program itself. */
import { describe, it } from "vitest"
import { aiSdk, inspector } from "./hosts.ts"
import { goesOn } from "./scenario.ts"

describe("a client", () => {
  it.each([
    ["of the AI SDK", aiSdk],
    ["that is the inspector's command line, command by command,", inspector]
  ] as const)(
    "%s goes on through kills, a stale session, a freeze, an open circuit, a reload, and the death of the gateway itself",
    (_, connect) => goesOn(connect),
    // a command of the inspector's takes as long as three servers to start
    240_000
  )
})
