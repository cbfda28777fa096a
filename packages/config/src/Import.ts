/**
 * Files of programs that keep MCP servers alive in their own way, read with the meaning that they have there.
 */
import { KeepalivePolicy } from "@vmcp-keepalive/core"
import type * as Effect from "effect/Effect"
import type { ConfigFileError } from "./ConfigFileError.ts"
import * as File from "./internal/file.ts"
import * as Loading from "./internal/loading.ts"
import * as Toolhive from "./internal/toolhive.ts"
import type { Loaded, ParseOptions } from "./KeepaliveConfig.ts"

/**
 * The file of the vMCP gateway from which this library took its metrics: the numbers of `KeepalivePolicy.vmcp` under what the file says, and a
 * server without `keepalive_method` is not probed.
 *
 * @since 0.1.0
 */
export const vmcp = (text: string, options: ParseOptions = {}): Effect.Effect<Loaded, ConfigFileError> =>
  Loading.ofText(text, options, (document, surroundings, findings) =>
    File.decode(document, surroundings, findings, {
      under: KeepalivePolicy.vmcp,
      silentWithout: "keepalive_method"
    })
  )

/**
 * The file of the command-line client from which this library took its cadence: the numbers of `KeepalivePolicy.cli` under what the file says,
 * and a server without `keepalive_interval` is not probed.
 *
 * @since 0.1.0
 */
export const cli = (text: string, options: ParseOptions = {}): Effect.Effect<Loaded, ConfigFileError> =>
  Loading.ofText(text, options, (document, surroundings, findings) =>
    File.decode(document, surroundings, findings, { under: KeepalivePolicy.cli, silentWithout: "keepalive_interval" })
  )

/**
 * The YAML of toolhive's virtual MCP server, or of its Kubernetes resource: `backends`, and of `operational.failureHandling` the health
 * checks and the circuit breaker, with toolhive's defaults. Headers of `outgoingAuth` come along; what has no counterpart here is a warning.
 *
 * @since 0.1.0
 */
export const toolhive = (text: string, options: ParseOptions = {}): Effect.Effect<Loaded, ConfigFileError> =>
  Loading.ofText(text, { format: "yaml", ...options }, Toolhive.decode)
