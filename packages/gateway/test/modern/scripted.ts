/** A gateway that is the test's own: it sees what each connection takes, and says what comes. */
import type { KeptPeer } from "@vmcp-keepalive/host"
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** The gateway's end of one connection. */
export interface Scripted {
  /** everything that came */
  readonly taken: ReadonlyArray<Message.Message>
  /** the requests of that method, in order */
  readonly asked: (method: string) => ReadonlyArray<Message.Request>
  readonly says: (message: Message.Message, relatedRequestId?: Message.Id) => void
  readonly isClosed: () => boolean
}

export interface Options {
  /** What `initialize` is answered with. Default: a result */
  readonly initialized?: (id: Message.Id, connection: number) => Message.Answer
}

const initialized = (id: Message.Id): Message.Answer => ({
  jsonrpc: "2.0",
  id,
  result: {
    protocolVersion: "2025-11-25",
    serverInfo: { name: "scripted", version: "1" },
    instructions: "be kind",
    capabilities: {
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      logging: {},
      completions: {}
    }
  }
})

export const scripted = ({ initialized: answer = initialized }: Options = {}) => {
  const connections: Array<Scripted> = []
  const waiting = new Set<() => void>()
  const look = () => {
    for (const each of [...waiting]) each()
  }
  const open = (deliver: KeptPeer.Deliver) => {
    const taken: Array<Message.Message> = []
    let isClosed = false
    const number = connections.length
    connections.push({
      taken,
      asked: (method) => taken.filter(Message.isRequest).filter((each) => each.method === method),
      says: (message, relatedRequestId) => deliver(message, relatedRequestId === undefined ? {} : { relatedRequestId }),
      isClosed: () => isClosed
    })
    return Promise.resolve({
      take: (value: unknown) => {
        const message = Message.of(value)
        if (message === undefined) throw new Error("not a message")
        taken.push(message)
        if (Message.isRequest(message) && message.method === "initialize") deliver(answer(message.id, number), {})
        look()
      },
      close: () => {
        isClosed = true
        look()
        return Promise.resolve()
      }
    })
  }
  /** Waits for a value that is there, which may need something that a connection takes. */
  const until = <A>(find: () => A | undefined): Promise<A> =>
    new Promise((resolve) => {
      const each = () => {
        const found = find()
        if (found === undefined) return
        waiting.delete(each)
        resolve(found)
      }
      waiting.add(each)
      each()
    })
  return {
    open,
    connections,
    until,
    /** The request of that method that came at that place, on the connection. */
    asked: (connection: number, method: string, at = 0) => until(() => connections[connection]?.asked(method)[at])
  }
}
