/**
 * The least that a client of SDK 2 can stand on over HTTP: undici's `dispatch`, answers in JSON, and no more than a healthy modern
 * server needs. What the client alone costs shows on it: no transport can take less.
 */
import type { Client } from "@modelcontextprotocol/client"
import { Effect } from "effect"
import { Client as Connection } from "undici"

type Transport = Parameters<Client["connect"]>[0]
type Message = Parameters<Transport["send"]>[0]

/** One on a connection of its own, which is closed with the scope. */
export const make = (url: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Connection(new URL(url).origin)),
      (connection) => Effect.promise(() => connection.destroy())
    ),
    (connection) => on(connection, new URL(url).pathname)
  )

const on = (connection: Connection, path: string): Transport => {
  const transport: Transport = {
    start: () => Promise.resolve(),
    close: () => Promise.resolve(transport.onclose?.()),
    send: (message) =>
      new Promise((resolve, reject) => {
        let text = ""
        connection.dispatch(
          { method: "POST", path, headers: headersOf(message), body: JSON.stringify(message) },
          {
            onRequestStart: () => {},
            onResponseStart: (_controller, status) => {
              if (status !== 200) reject(new Error(`the server answers ${status}`))
            },
            onResponseData: (_controller, chunk) => {
              text += chunk.toString()
            },
            onResponseEnd: () => {
              resolve()
              transport.onmessage?.(JSON.parse(text))
            },
            onResponseError: (_controller, error) => reject(error)
          }
        )
      })
  }
  return transport
}

/** A request of the modern era says in headers what it is. */
const headersOf = (message: Message): Record<string, string> => {
  const params: Readonly<Record<string, unknown>> = "params" in message ? (message.params ?? {}) : {}
  return {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    ...("method" in message ? { "mcp-method": message.method } : {}),
    ...(typeof params["name"] === "string" ? { "mcp-name": params["name"] } : {})
  }
}
