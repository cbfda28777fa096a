/** A kept transport is Effect AI's. Compiled, not run. */
import { KeptMcpClient } from "@vmcp-keepalive/host/effect-ai"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import type { Layer } from "effect"
import type { BackendError } from "@vmcp-keepalive/core"
import type { McpClient } from "effect/ai"

export const transport: Layer.Layer<McpClient.Transport, BackendError.ConfigurationError> =
  KeptMcpClient.layerTransport({ id: "a", connector: HttpPeerConnector.make({ url: "http://127.0.0.1/mcp" }) })
