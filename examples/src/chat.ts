/** A conversation on the terminal: each line is a turn of an agent. Ends with the input. */
import { createInterface } from "node:readline"

export const chat = async (turn: (line: string) => Promise<string>): Promise<void> => {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(
      await turn(line).catch((error: unknown) => `(${error instanceof Error ? error.message : String(error)})`)
    )
  }
}

/** The server of an example: `node src/aiSdk.ts http://127.0.0.1:3001/mcp`. */
export const url = process.argv[2] ?? "http://127.0.0.1:3001/mcp"
