/**
 * Probes: what is asked over JSON-RPC on every transport, and `OPTIONS`, which is HTTP's own.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Connector, Evidence } from "@vmcp-keepalive/core"
import { Ask } from "@vmcp-keepalive/sdk-client"
import type * as Effect from "effect/Effect"
import * as Bodiless from "./bodiless.ts"
import type { Wire } from "./wire.ts"

/** Asks once whether the server lives. */
export const probe = (wire: Wire, client: Client, rung: Connector.ProbeRung): Effect.Effect<Evidence.Evidence> =>
  rung._tag === "options" ? Bodiless.send(wire, "OPTIONS") : Ask.probe(wire.requests, client, rung)
