/**
 * What a server of MCP 2026-07-28 tells by itself, on one `subscriptions/listen`: which lists have changed, and which resources. The
 * transport keeps its stream. Another resource is subscribed to by another request in its place, which begins before it ends.
 */
import * as Message from "../../Message.ts"
import { RpcError } from "../rpcError.ts"
import type { Ask } from "./face.ts"

/** What is listened to, and what of it the server tells. */
type Filter = { readonly [what: string]: unknown }

/** How long the server may take to acknowledge a subscription, in milliseconds: those that follow wait for it. */
const patience = 10_000

const acknowledged = "notifications/subscriptions/acknowledged"
const subscriptionId = "io.modelcontextprotocol/subscriptionId"

/** What it is made of. */
export interface Options {
  readonly ask: Ask
  /** what the server can do */
  readonly capabilities: { readonly [name: string]: unknown }
  /** the resources to listen to, also in the sessions that follow: changed as the server acknowledges */
  readonly uris: Set<string>
}

/** See the module. One for each session. */
export class Listening {
  readonly #options: Options
  readonly #lists: Filter
  readonly #hasResources: boolean
  /** the subscription on which is heard */
  #current: { readonly id: Message.Id; readonly end: () => void } | undefined
  /** who waits for an acknowledgment */
  #opening: { readonly id: Message.Id; readonly acknowledged: (honored: Filter) => void } | undefined
  /** the last that was begun: it does not reject */
  #last: Promise<unknown> = Promise.resolve()
  /** the one that has not begun, which listens to what is wanted then */
  #next: Promise<Filter> | undefined
  /** those that the server has not acknowledged yet: who wants one of them as well is told what becomes of it */
  readonly #subscribing = new Map<string, Promise<Message.Result>>()
  #count = 0

  constructor(options: Options) {
    this.#options = options
    const { capabilities } = options
    this.#lists = Object.fromEntries(
      ["tools", "prompts", "resources"]
        .filter((list) => has(capabilities[list], "listChanged"))
        .map((list) => [`${list}ListChanged`, true])
    )
    this.#hasResources = has(capabilities["resources"], "subscribe")
  }

  /** Begins. Nobody waits for it: a server that tells nothing by itself is one that can be asked. */
  start(): void {
    if (Object.keys(this.#wanted).length > 0) this.#update().catch(() => {})
  }

  /** Listens to a resource as well. Rejects where the server does not tell of it. */
  async subscribe(uri: unknown): Promise<Message.Result> {
    const { uris } = this.#options
    if (!this.#hasResources) throw new RpcError({ code: -32601, message: "Method not found" })
    if (typeof uri !== "string") throw new RpcError({ code: -32602, message: "resources/subscribe needs a uri" })
    const begun = this.#subscribing.get(uri)
    if (begun !== undefined) return begun
    if (uris.has(uri)) return {}
    const subscribing = this.#add(uri).finally(() => {
      if (this.#subscribing.get(uri) === subscribing) this.#subscribing.delete(uri)
    })
    this.#subscribing.set(uri, subscribing)
    return subscribing
  }

  async #add(uri: string): Promise<Message.Result> {
    const { uris } = this.#options
    uris.add(uri)
    const honored = await this.#update().catch((error: unknown) => {
      uris.delete(uri)
      throw error
    })
    const told = honored["resourceSubscriptions"]
    if (Array.isArray(told) && told.includes(uri)) return {}
    uris.delete(uri)
    throw new RpcError({ code: -32602, message: "The server does not tell of this resource" })
  }

  /** Listens to it no longer. */
  async unsubscribe(uri: unknown): Promise<Message.Result> {
    if (typeof uri === "string") this.#subscribing.delete(uri)
    // a server that does not acknowledge it tells of what nobody wants to hear
    if (typeof uri === "string" && this.#options.uris.delete(uri)) await this.#update().catch(() => {})
    return {}
  }

  /** What is heard of a notification: `undefined` where it is nothing. */
  take(message: Message.Notification): Message.Notification | undefined {
    const { method, params } = message
    const id = params?._meta?.[subscriptionId]
    if (method === acknowledged) {
      if (id === this.#opening?.id) this.#opening?.acknowledged(filterOf(params?.["notifications"]))
      return undefined
    }
    if (id === undefined) return message
    // what an earlier subscription tells is told by the one in its place
    if (id !== this.#current?.id) return undefined
    const { [subscriptionId]: _, ...meta } = { ...params?._meta }
    const { _meta: __, ...others } = { ...params }
    return { ...message, params: Object.keys(meta).length === 0 ? others : { ...others, _meta: meta } }
  }

  get #wanted(): Filter {
    const { uris } = this.#options
    return this.#hasResources && uris.size > 0 ? { ...this.#lists, resourceSubscriptions: [...uris] } : this.#lists
  }

  /** Listens to what is wanted now: those who want something else while one is begun share the next. */
  #update(): Promise<Filter> {
    if (this.#next === undefined) {
      this.#next = this.#last.then(() => {
        this.#next = undefined
        return this.#open(this.#wanted)
      })
      this.#last = this.#next.catch(() => {})
    }
    return this.#next
  }

  #open(wanted: Filter): Promise<Filter> {
    const before = this.#current
    if (Object.keys(wanted).length === 0) {
      this.#current = undefined
      before?.end()
      return Promise.resolve(wanted)
    }
    return new Promise((resolve, reject) => {
      const id = `listen-${this.#count++}`
      const controller = new AbortController()
      const end = () => controller.abort(new Error("Nobody listens any more"))
      const settled = () => {
        clearTimeout(clock)
        if (this.#opening?.id === id) this.#opening = undefined
      }
      const failed = (error: unknown) => {
        settled()
        if (this.#current?.id === id) this.#current = undefined
        reject(error)
      }
      const clock = setTimeout(() => {
        failed(new Error("The server does not acknowledge the subscription"))
        end()
      }, patience)
      this.#opening = {
        id,
        acknowledged: (honored) => {
          settled()
          this.#current = { id, end }
          before?.end()
          resolve(honored)
        }
      }
      const question = { method: "subscriptions/listen", params: { notifications: wanted } }
      this.#options.ask(question, { id, signal: controller.signal }).then(
        // the server has ended it
        () => failed(new Error("The server has ended the subscription")),
        failed
      )
    })
  }
}

const filterOf = (value: unknown): Filter => (Message.isObject(value) ? value : {})

const has = (capability: unknown, what: string): boolean => Message.isObject(capability) && capability[what] === true
