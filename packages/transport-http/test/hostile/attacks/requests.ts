/** Requests of the server's own, answers where nobody looks for them, and none at all. */
import type * as Http from "node:http"
import { type Attack, event, type Exchange, pour, resultOf, stream, textOf } from "./exchange.ts"

type Request = { readonly method: string; readonly params?: object }

const ping: Request = { method: "ping" }
const roots: Request = { method: "roots/list" }
const sampling: Request = {
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: { type: "text", text: "hello" } }], maxTokens: 10 }
}

let ids = 0
/** The request as an event, under an id of its own. */
const ask = (request: Request): string => event({ jsonrpc: "2.0", id: `server-${ids++}`, ...request })

const several = (count: number, request: Request): string => Array.from({ length: count }, () => ask(request)).join("")

/** Requests as fast as they are read, whose answers are never taken. */
const flood = (request: Request): Attack => ({
  standing: (response) => pour(response, () => several(100, request)),
  answered: () => {}
})

const asked = new Map<string, () => void>()

/** A tool that asks 20 things at once, half of them on the standing stream, and ends when all are answered. */
const askHonestly = async (exchange: Exchange): Promise<void> => {
  const own = stream(exchange.response)
  const standing = await exchange.standing
  const answer = (on: Http.ServerResponse, request: Request) =>
    new Promise<void>((resolve) => {
      asked.set(`server-${ids}`, resolve)
      on.write(ask(request))
    })
  await Promise.all(
    Array.from({ length: 20 }, (_, nth) =>
      answer(nth % 2 === 0 ? own : standing, [sampling, roots, ping][nth % 3] ?? ping)
    )
  )
  own.end(event(resultOf(exchange, textOf("x"))))
}

/** See the module. */
export const attacks = {
  "ping flood": flood(ping),
  "sampling flood": flood(sampling),
  "roots flood": flood(roots),
  "pings faster than 1,000 a second": {
    standing: (response) => {
      const timer = setInterval(() => response.write(several(50, ping)), 10)
      response.on("close", () => clearInterval(timer))
    }
  },
  "20 requests at once": {
    call: (exchange) => void askHonestly(exchange),
    answered: ({ message, response }) => {
      response.writeHead(202).end()
      asked.get(String(message.id))?.()
    }
  },
  "answers on another stream": {
    call: async (exchange) => {
      // one half of them without a head
      if (Number(exchange.message.id) % 2 === 0) stream(exchange.response)
      const standing = await exchange.standing
      standing.write(event(resultOf(exchange, textOf(exchange.message.params?.arguments?.message ?? ""))))
    }
  },
  "no answers": { call: () => {} }
} satisfies Readonly<Record<string, Attack>>
