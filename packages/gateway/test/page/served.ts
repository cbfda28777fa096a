/** The page on a server of its own, on an ephemeral port of 127.0.0.1. */
import { createServer } from "node:http"
import { NodeHttpServer } from "@effect/platform-node"
import { Page } from "../../src/index.ts"
import { Context, Effect, Layer, Redacted } from "effect"
import type { Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"

/** What operators send in these tests. */
export const token = "operator-token-of-tests"

/** Serves the page until the scope ends; its URL, without a trailing slash. */
export const serve = (options: Omit<Page.Options, "token">): Effect.Effect<string, never, Scope.Scope> =>
  Layer.build(
    HttpRouter.serve(Page.layer({ ...options, token: Redacted.make(token) }), {
      disableLogger: true,
      disableListenLog: true
    }).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })))
  ).pipe(
    Effect.map((context) => HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)),
    Effect.orDie
  )
