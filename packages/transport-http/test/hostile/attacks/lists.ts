/** Lists of tools that are too long or do not end, and a schema whose check does not end. */
import { type Attack, json, resultOf } from "./exchange.ts"

const tool = (name: string) => ({ name, inputSchema: { type: "object" } })

/** One page after the other, each with a cursor that none had before. */
const pages =
  (toolsOnPage: number, last = Infinity) =>
  (cursor: string | undefined) => {
    const page = cursor === undefined ? 0 : Number(cursor.slice("page-".length))
    return {
      tools: [
        ...(page === 0 ? [tool("echo")] : []),
        ...Array.from({ length: toolsOnPage }, (_, nth) => tool(`tool-${page}-${nth}`))
      ],
      ...(page === last ? {} : { nextCursor: `page-${page + 1}` })
    }
  }

const checked = (pattern: string) => ({
  ...tool("attack"),
  outputSchema: { type: "object", properties: { text: { type: "string", pattern } }, required: ["text"] }
})

const structured = (text: string) => ({ content: [], structuredContent: { text } })

/** See the module. */
export const attacks = {
  "cursors without an end": { list: pages(10) },
  "20,000 tools in pages": { list: pages(500, 39) },
  "200,000 tools": { list: pages(200_000, 0) },
  "9,000 tools in pages": { list: pages(100, 89) },
  "pattern that backtracks": {
    list: () => ({ tools: [tool("echo"), checked("^(a+)+$")] }),
    call: (exchange) =>
      json(exchange.response, resultOf(exchange, structured(exchange.message.params?.arguments?.message ?? "")))
  },
  "pattern that is cheap": {
    list: () => ({ tools: [tool("echo"), checked("^[a-z]{2,5}$")] }),
    call: (exchange) =>
      json(exchange.response, resultOf(exchange, structured(exchange.message.params?.arguments?.message ?? "")))
  }
} satisfies Readonly<Record<string, Attack>>
