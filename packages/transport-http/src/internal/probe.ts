/**
 * Probes: what is asked over JSON-RPC on every transport, and `OPTIONS`, which is HTTP's own.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Evidence } from "@vmcp-keepalive/core"
import type { Connector } from "@vmcp-keepalive/core"
import { Ask } from "@vmcp-keepalive/sdk-client"
import * as Effect from "effect/Effect"
import * as Failure from "./failure.ts"
import type { Wire } from "./wire.ts"

/** Asks once whether the server lives. */
export const probe = (wire: Wire, client: Client, rung: Connector.ProbeRung): Effect.Effect<Evidence.Evidence> =>
  rung._tag === "options" ? options(wire) : Ask.probe(wire.requests, client, rung)

const options = (wire: Wire): Effect.Effect<Evidence.Evidence> =>
  Effect.promise(async (signal) => {
    const exchange = wire.begin()
    signal.addEventListener("abort", () => exchange.abort(), { once: true })
    try {
      const headers = await wire.headers()
      const response = await wire.send({ method: "OPTIONS", headers, signal: exchange.signal })
      await response.body?.cancel().catch(() => {})
      return response.status >= 200 && response.status <= 299 ? Evidence.answered : wire.refusal(response, headers)
    } catch (error) {
      return Evidence.transportFailure(Failure.ofFetch(error).reason)
    } finally {
      wire.end(exchange)
    }
  })
