/**
 * Resources that clients of MCP 2026-07-28 listen to: subscribed to at the gateway by the first stream that names one, until the last
 * one ends.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { bounded } from "./bounded.ts"

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

  /** Passes a request on, and counts what it listens to until its answer ends, of which {@link bounded} holds what is not read. */
  async attend(request: Request, pass: (request: Request) => Promise<Response>): Promise<Response> {
    const isListening = request.headers.get("mcp-method") === "subscriptions/listen"
    const uris = isListening ? urisOf(Message.parse(await request.clone().text())) : nothing
    const response = await pass(request)
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true
    if (response.body === null || !isStream) return response
    return new Response(bounded(response.body, this.begin(uris)), response)
  }

  /** Somebody listens to them; what it returns ends that. */
  begin(uris: ReadonlySet<string>): () => void {
    for (const uri of uris) this.#count(uri, 1)
    return () => {
      for (const uri of uris) this.#count(uri, -1)
    }
  }

  #count(uri: string, change: 1 | -1): void {
    const count = (this.#counts.get(uri) ?? 0) + change
    if (count === 0) this.#counts.delete(uri)
    else this.#counts.set(uri, count)
    if (change === 1 && count === 1) this.#say("resources/subscribe", uri)
    if (count === 0) this.#say("resources/unsubscribe", uri)
  }
}

const nothing: ReadonlySet<string> = new Set()

/** The resources that a `subscriptions/listen` names. */
export const urisOf = (message: unknown): ReadonlySet<string> => {
  const params = Message.isObject(message) ? message["params"] : undefined
  const filter = Message.isObject(params) ? params["notifications"] : undefined
  const uris = Message.isObject(filter) ? filter["resourceSubscriptions"] : undefined
  return new Set(Array.isArray(uris) ? uris.filter((uri) => typeof uri === "string").slice(0, most) : [])
}
