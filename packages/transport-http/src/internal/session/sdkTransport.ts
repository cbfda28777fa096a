/**
 * What an SDK's own transport over HTTP can do beside sending: finishing an authorization, and terminating the session.
 */
import * as Effect from "effect/Effect"
import type { Kind } from "../settings.ts"
import type { OAuth } from "./oauth.ts"
import * as StatusOnly from "./statusOnly.ts"

/** What differs for the clients of an SDK, with OAuth where there is a provider. */
export const make = (
  oauth: ((endpoint: URL) => OAuth) | undefined
): Pick<Kind<unknown>, "authorization" | "prepare"> => ({
  authorization: oauth,
  prepare: (wire) => {
    Object.assign(wire.transport, {
      terminateSession: async () => {
        await Effect.runPromise(StatusOnly.send(wire, "DELETE"))
      },
      finishAuth: async (authorizationCode: string, iss?: string) => {
        const { authorization } = wire
        if (authorization === undefined || !("finish" in authorization)) throw new Error("No auth provider")
        await (authorization as OAuth).finish(authorizationCode, iss)
      }
    })
  }
})
