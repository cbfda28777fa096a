/** What the attacks are made of. */
import type * as Http from "node:http"

/** A JSON-RPC message of the client's, as far as it is read. */
export interface Message {
  readonly id?: string | number
  readonly method?: string
  readonly params?: {
    readonly name?: string
    readonly protocolVersion?: string
    readonly cursor?: string
    readonly arguments?: { readonly message?: string }
  }
}

/** A message and the response that it asks for. */
export interface Exchange {
  readonly message: Message
  readonly response: Http.ServerResponse
  /** the standing stream of the session, as soon as there is one */
  readonly standing: Promise<Http.ServerResponse>
}

/** What a hostile server does otherwise than a good one. */
export interface Attack {
  /** makes what takes long to make, before the server listens */
  readonly prepare?: () => void
  /** answers a call of the tool `attack` */
  readonly call?: (exchange: Exchange) => void
  /** what follows on the standing stream when the tool `begin` was called */
  readonly standing?: (stream: Http.ServerResponse) => void
  /** answers a ping; the first one, with which the client accepts the session, is answered honestly */
  readonly ping?: (exchange: Exchange) => void
  /** the result of tools/list */
  readonly list?: (cursor: string | undefined) => object
  /** what becomes of the client's answers to requests of the server's; default 202 */
  readonly answered?: (exchange: Exchange) => void
}

/** A result as a message. */
export const resultOf = ({ message }: Exchange, result: object): string =>
  JSON.stringify({ jsonrpc: "2.0", id: message.id, result })

/** The result of a tool. */
export const textOf = (text: string): object => ({ content: [{ type: "text", text }] })

/** Answers with JSON. */
export const json = (
  response: Http.ServerResponse,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {}
): void => {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(body)
}

/** Opens an event stream. */
export const stream = (
  response: Http.ServerResponse,
  headers: Readonly<Record<string, string>> = {}
): Http.ServerResponse => {
  response.writeHead(200, { "content-type": "text/event-stream", ...headers }).flushHeaders()
  return response
}

/** A message as an event. */
export const event = (message: string | object): string =>
  `data: ${typeof message === "string" ? message : JSON.stringify(message)}\n\n`

/** Writes what `next` makes as fast as it is read, until the connection ends. */
export const pour = (
  into: { readonly write: (data: string | Buffer) => boolean; readonly destroyed: boolean } & NodeJS.EventEmitter,
  next: () => string | Buffer
): void => {
  const more = () => {
    while (!into.destroyed) if (!into.write(next())) return void into.once("drain", more)
  }
  more()
}

/** A notification that says nothing. */
export const notification = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "" } }
