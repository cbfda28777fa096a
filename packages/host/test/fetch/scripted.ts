/** An endpoint whose connections are the test's own: it sees what each takes, and says what comes from the server. */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { Endpoint, type Ids } from "../../src/internal/fetch/endpoint.ts"

type Deliver = (message: Message.Message, about?: { readonly relatedRequestId?: Message.Id | undefined }) => void

/** The server's end of one session. */
export interface Connection {
  readonly taken: Array<Message.Message>
  readonly says: Deliver
  isClosed: boolean
}

export interface Options {
  readonly maxSessions?: number
  readonly most?: number
  readonly ids?: Ids
  /** What the server answers to initialize; nothing where there is none. Default: a result. */
  readonly initialized?: (id: Message.Id) => Message.Answer | undefined
  /** What the server answers at once to everything else. Default: nothing */
  readonly answered?: (id: Message.Id) => Message.Answer
}

const initialized = (id: Message.Id): Message.Answer => ({
  jsonrpc: "2.0",
  id,
  result: { protocolVersion: "2025-11-25", capabilities: {} }
})

export const endpoint = (options: Options = {}) => {
  const answer = options.initialized ?? initialized
  const connections: Array<Connection> = []
  const made = new Endpoint({
    id: "test",
    maxSessions: options.maxSessions ?? 8,
    most: options.most,
    ids: options.ids,
    open: (deliver) => {
      const connection: Connection = {
        taken: [],
        says: (message, about = {}) => deliver(message, about),
        isClosed: false
      }
      connections.push(connection)
      return Promise.resolve({
        take: (value) => {
          const message = Message.of(value)
          if (message === undefined) throw new Error("not a message")
          connection.taken.push(message)
          if (!Message.isRequest(message)) return
          const said = message.method === "initialize" ? answer(message.id) : options.answered?.(message.id)
          if (said !== undefined) deliver(said, {})
        },
        close: () => {
          connection.isClosed = true
          return Promise.resolve()
        }
      })
    }
  })
  return { endpoint: made, connections, fetch: made.fetch }
}

export type Fetch = Endpoint["fetch"]

const url = "http://kept.invalid/test"

export const headers = (session?: string) => ({
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
  ...(session === undefined ? {} : { "mcp-session-id": session, "mcp-protocol-version": "2025-11-25" })
})

export const post = (fetch: Fetch, message: unknown, session?: string, signal?: AbortSignal): Promise<Response> =>
  fetch(url, {
    method: "POST",
    headers: headers(session),
    body: typeof message === "string" ? message : JSON.stringify(message),
    ...(signal === undefined ? {} : { signal })
  })

export const get = (fetch: Fetch, session?: string, signal?: AbortSignal): Promise<Response> =>
  fetch(url, { headers: headers(session), ...(signal === undefined ? {} : { signal }) })

export const end = (fetch: Fetch, session?: string): Promise<Response> =>
  fetch(url, { method: "DELETE", headers: headers(session) })

export const request = (id: Message.Id, method = "tools/call", params?: Message.Params): Message.Request =>
  params === undefined ? { jsonrpc: "2.0", id, method } : { jsonrpc: "2.0", id, method, params }

export const initialize = request(0, "initialize", {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "host", version: "1" }
})

/** Opens a session, and returns its id. */
export const open = async (fetch: Fetch): Promise<string> => {
  const response = await post(fetch, initialize)
  await response.text()
  return response.headers.get("mcp-session-id") ?? ""
}

/** Reads an event stream message by message. */
export const reader = (response: Response) => {
  const body = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ""
  /** the next one; `undefined` at the end */
  const next = async (): Promise<Message.Message | undefined> => {
    for (;;) {
      const at = text.indexOf("\n\n")
      if (at !== -1) {
        const [, data] = text.slice(0, at).split("\ndata: ")
        text = text.slice(at + 2)
        return Message.of(Message.parse(data ?? ""))
      }
      const read = await body?.read()
      if (read === undefined || read.done) return undefined
      text += read.value
    }
  }
  const all = async () => {
    const messages: Array<Message.Message> = []
    for (let message = await next(); message !== undefined; message = await next()) messages.push(message)
    return messages
  }
  return { next, all, cancel: async () => body?.cancel() }
}
