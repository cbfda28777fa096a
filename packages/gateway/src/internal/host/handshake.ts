/**
 * What the gateway says of itself to a host, and to servers of the host.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"

/** Those that have a session, the newest last. */
const versions = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
const newest = "2025-11-25"

/** Any of these may be had by a backend that is down now, or comes later. */
const capabilities = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  logging: {},
  completions: {}
}

/** Of one server's instructions, in characters: all of them are read by a model. */
const mostInstructions = 16_384

/** The host's words to servers: in the version that was agreed on with it. */
export const agreed = (params: Message.Params): Message.Params & { readonly protocolVersion: string } => {
  const asked = params["protocolVersion"]
  return { ...params, protocolVersion: versions.find((version) => version === asked) ?? newest }
}

/** The answer to `initialize`, with what backends say for models to read, by id. */
export const answer = (
  protocolVersion: string,
  instructions: ReadonlyArray<readonly [backend: string, text: string]>
): Message.Result => ({
  protocolVersion,
  capabilities,
  serverInfo: { name: "vmcp-keepalive", version: "0.1.0" },
  ...(instructions.length === 0 ? {} : { instructions: merged(instructions) })
})

const merged = ([first, ...others]: ReadonlyArray<readonly [string, string]>): string =>
  others.length === 0 && first !== undefined
    ? first[1].slice(0, mostInstructions)
    : [first, ...others]
        .flatMap((each) => (each === undefined ? [] : [`# ${each[0]}\n\n${each[1].slice(0, mostInstructions)}`]))
        .join("\n\n")
