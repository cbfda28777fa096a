/** The gateway of a fleet on a port of loopback: its MCP endpoint, its page and its metrics. */
import type { Fleet } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { randomBytes } from "node:crypto"
import { Endpoint, Gateway, Page } from "vmcp-keepalive"
import type { Style } from "./Style.ts"

export interface Options {
  readonly fleet: Fleet.Fleet<Peer.Peer>
  /** 0: any that is free; `undefined`: {@link usualPort}, and any other where that is in use */
  readonly port: number | undefined
  readonly extras?: Page.Extras
}

/** Where it listens when it is not told: where the gateway's own program does. */
export const usualPort = 8931

/** A gateway that can be reached. */
export interface Serving {
  readonly show: Gateway.Shape["show"]
  /** where MCP is spoken */
  readonly mcp: string
  readonly origin: string
  /** what commands and buttons of the page need; this process alone knows it, and has it as long as it runs */
  readonly token: Redacted.Redacted<string>
}

/** Serves until the scope closes. */
export const make = Effect.fnUntraced(function* ({ extras, fleet, port }: Options) {
  const gateway = yield* Gateway.make({ fleet }).pipe(Effect.orDie)
  const token = Redacted.make(randomBytes(24).toString("base64url"))
  const page = Page.layer({
    calls: gateway.calls,
    fleet,
    token,
    extras,
    operate: Page.operateOf(gateway),
    // the server has looked at every request before
    guard: () => true
  })
  const on = (port: number) =>
    Layer.provide(
      Endpoint.serve({ fleet, port }, Layer.merge(page, Endpoint.layerMetrics)),
      Layer.succeed(Gateway.Gateway, gateway)
    )
  const context =
    port === undefined
      ? yield* attempt(on(usualPort)).pipe(
          Effect.catchIf(
            ({ reason }) => reason === "port_in_use",
            () => Layer.build(on(0))
          )
        )
      : yield* Layer.build(on(port))
  const { mcp, origin } = Context.get(context, Endpoint.Address)
  const serving: Serving = { show: gateway.show, mcp, origin, token }
  return serving
})

/** Builds a layer of which nothing is left where it fails. */
const attempt = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  Effect.gen(function* () {
    const own = yield* Scope.fork(yield* Effect.scope)
    return yield* Layer.buildWithScope(layer, own).pipe(
      Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
    )
  })

/** Where it is reached, a line each; with the token where it may be seen. */
export const lines = (
  { mcp, origin, token }: Serving,
  style: Style,
  { withToken }: { readonly withToken: boolean }
): ReadonlyArray<string> => [
  `${style.bold("page         ")} ${origin}/${withToken ? `#token=${Redacted.value(token)}` : ""}`,
  `${style.bold("MCP endpoint ")} ${mcp}`,
  `${style.bold("metrics      ")} ${origin}/metrics`
]
