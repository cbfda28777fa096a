/**
 * The files of the page, read once. They stand in `src/page` as they are served, for `dist` as well: `src` is part of the package.
 */
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** The page itself, and what it loads. */
export const names = [
  "index.html",
  "style.css",
  "icon.svg",
  "main.js",
  "backends.js",
  "cluster.js",
  "details.js",
  "dom.js",
  "events.js",
  "operator.js",
  "strip.js",
  "time.js"
] as const

const types: { readonly [ending: string]: string } = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml"
}

const folder = new URL("../../../src/page/", import.meta.url)

/** How a browser has to treat what comes from here. */
export const headers = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin"
}

export interface File {
  /** under which it is asked for */
  readonly path: `/${string}`
  readonly answer: (request: HttpServerRequest.HttpServerRequest) => HttpServerResponse.HttpServerResponse
}

/** All files. One that is missing is a defect of the package. */
export const read: Effect.Effect<ReadonlyArray<File>> = Effect.promise(() =>
  Promise.all(
    names.map(async (name): Promise<File> => {
      const body = new Uint8Array(await readFile(new URL(name, folder)))
      const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`
      const common = { ...headers, etag, "cache-control": "no-cache" }
      const contentType = types[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream"
      return {
        path: name === "index.html" ? "/" : `/page/${name}`,
        answer: (request) =>
          request.headers["if-none-match"] === etag
            ? HttpServerResponse.empty({ status: 304, headers: common })
            : HttpServerResponse.uint8Array(body, { contentType, headers: common })
      }
    })
  )
)
