/**
 * Resources that clients of MCP 2026-07-28 listen to: subscribed to at the gateway by the first stream that names one, until the last
 * one ends.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** Subscribes, or ends that. */
export type Say = (method: "resources/subscribe" | "resources/unsubscribe", uri: string) => void

/** So many in one stream: more are not told of. */
const most = 1000

/** See the module. */
export class Subscriptions {
  readonly #say: Say
  /** by URI, how many streams name it */
  readonly #counts = new Map<string, number>()

  constructor(say: Say) {
    this.#say = say
  }

  /** Passes a request on, and counts what it listens to while its answer is read. */
  async attend(request: Request, pass: (request: Request) => Promise<Response>): Promise<Response> {
    if (request.headers.get("mcp-method") !== "subscriptions/listen") return pass(request)
    const uris = urisOf(await request.clone().text())
    const response = await pass(request)
    if (uris.size === 0 || !response.ok || response.body === null) return response
    for (const uri of uris) this.#count(uri, 1)
    const ended = () => {
      for (const uri of uris) this.#count(uri, -1)
      uris.clear()
    }
    return new Response(following(response.body, ended), response)
  }

  #count(uri: string, change: 1 | -1): void {
    const count = (this.#counts.get(uri) ?? 0) + change
    if (count === 0) this.#counts.delete(uri)
    else this.#counts.set(uri, count)
    if (change === 1 && count === 1) this.#say("resources/subscribe", uri)
    if (count === 0) this.#say("resources/unsubscribe", uri)
  }
}

const urisOf = (text: string): Set<string> => {
  const message = Message.parse(text)
  const params = Message.isObject(message) ? message["params"] : undefined
  const filter = Message.isObject(params) ? params["notifications"] : undefined
  const uris = Message.isObject(filter) ? filter["resourceSubscriptions"] : undefined
  return new Set(Array.isArray(uris) ? uris.filter((uri) => typeof uri === "string").slice(0, most) : [])
}

/** The same body, whose end is told, however it ends. */
const following = (body: ReadableStream<Uint8Array>, ended: () => void): ReadableStream<Uint8Array> => {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        ended()
        controller.close()
      } catch (error) {
        ended()
        controller.error(error)
      }
    },
    cancel: (reason) => {
      ended()
      return reader.cancel(reason)
    }
  })
}
