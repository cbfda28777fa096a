/** A hostile server on stdio: `node server.ts <Attack>`. It ends with the first SIGTERM. */
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import type { Attack } from "./scenario.ts"

const attack = process.argv[2] as Attack
const mebibyte = 1024 * 1024

const send = (message: object) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`)
const answer = (id: unknown, result: object) => send({ id, result })
const write = (text: string) =>
  new Promise<void>((resolve) => {
    process.stdout.write(text, () => resolve())
  })

let requests = 0
const ping = () => `{"jsonrpc":"2.0","id":${requests++},"method":"ping"}\n`
const sampling = (size: number) => {
  const content = { type: "text", text: "x".repeat(size) }
  const params = { messages: [{ role: "user", content }], maxTokens: 1 }
  return `${JSON.stringify({ jsonrpc: "2.0", id: requests++, method: "sampling/createMessage", params })}\n`
}
const cancelled = () =>
  `${JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: requests - 1 } })}\n`

/** As fast as it is read. */
const flood = async (next: () => string) => {
  for (;;) await write(next())
}

const text = (characters: string) => ({ content: [{ type: "text", text: characters }] })

const answerJson = (id: unknown, json: string) =>
  write(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[],"found":${json}}}\n`)
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
const bomb = (id: unknown) => answerJson(id, `[${"{},".repeat((16 * mebibyte - 1024) / 3)}{}]`)

/** Goes on for as long as it is let. */
const begin = (): unknown => {
  switch (attack) {
    case "readsNothing":
      return process.stdin.pause()
    case "pingsAndReadsNothing":
      process.stdin.pause()
      return flood(ping)
    case "pingsSlowlyAndReadsNothing":
      process.stdin.pause()
      return setInterval(() => process.stdout.write(ping()), 2)
    case "pingsTooOften":
      return process.stdout.write(ping())
    case "samples":
      return flood(() => sampling(10))
    case "samplesMuch":
      return flood(() => sampling(15 * mebibyte))
    case "samplesMuchAndCancels":
      return flood(() => sampling(15 * mebibyte) + cancelled())
  }
}

let begun = false

const call = async (id: unknown) => {
  switch (attack) {
    case "none":
      return answer(id, text("done"))
    case "answersPingsWithContainers":
      begun = true
      return answer(id, text("done"))
    case "writesBytes": {
      const line = Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id, result: text("x".repeat(mebibyte)) })}\n`)
      for (let at = 0; at < line.length;) {
        try {
          at += writeSync(1, line, at, 1)
        } catch {
          // The pipe is full; nothing else may be written between.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
        }
      }
      return
    }
    case "nests":
      return answerJson(id, nested(400_000))
    case "nestsTooDeep":
      return answerJson(id, nested(8_000_000))
    case "writesGarbage":
      for (const part of ['{"', '{"a":{"b":"', '{"a":1}x'])
        await write(`log: ${part.repeat((16 * mebibyte) / part.length - 8)}\n`)
      return answer(id, text("done"))
    case "answersContainers":
      return bomb(id)
    default:
      if (begun) return
      begun = true
      return begin()
  }
}

process.stdout.on("error", () => process.exit())
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { id, method, params } = JSON.parse(line)
    switch (method) {
      case "initialize":
        return answer(id, {
          protocolVersion: params.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: "hostile", version: "1" }
        })
      case "ping":
        return attack === "answersPingsWithContainers" && begun ? void bomb(id) : answer(id, {})
      case "tools/list":
        return answer(id, { tools: [{ name: "any", inputSchema: { type: "object" } }] })
      case "tools/call":
        return void call(id)
      case undefined:
        // the answer to a ping
        return attack === "pingsTooOften" && process.stdout.write(ping())
    }
  })
  .on("close", () => process.exit())
// An attack that has stopped to read never sees the end of its input; whoever was to end it may have been killed.
setTimeout(() => process.exit(), 120_000).unref()
