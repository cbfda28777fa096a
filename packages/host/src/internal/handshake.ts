/**
 * What host and server say of themselves, and how it is handed on: the host initializes once, and every session is initialized
 * with its words.
 */
import type { Message, Peer } from "@vmcp-keepalive/sdk-client/peer"

/** What can be listed, each with a notification of its own that the list has changed. */
const lists = ["tools", "prompts", "resources"] as const

/**
 * The parameters of `initialize` for a session: the host's own, and once a version of the protocol was agreed on, that one, so
 * that a server which has learned a newer one meanwhile does not speak it to a host that was told otherwise.
 */
export const ofSession = (params: Message.Params, agreed: Peer.Server | undefined): Message.Params =>
  agreed === undefined ? params : { ...params, protocolVersion: agreed.protocolVersion }

/** The server as the host gets to know it: what it can list may change, with the session if not otherwise. */
export const shown = (server: Peer.Server): Message.Result => {
  const capabilities: Record<string, unknown> = { ...server.capabilities }
  for (const list of lists) {
    const capability = capabilities[list]
    if (typeof capability === "object" && capability !== null) capabilities[list] = { ...capability, listChanged: true }
  }
  return { ...server, capabilities }
}

/** What the host is told after each session but the first: all that it has listed or subscribed to may have changed. */
export const afterSession = (server: Peer.Server, subscriptions: Iterable<string>): Array<Message.Notification> => [
  ...lists
    .filter((list) => server.capabilities[list] !== undefined)
    .map((list) => ({ jsonrpc: "2.0" as const, method: `notifications/${list}/list_changed` })),
  ...Array.from(subscriptions, (uri) => ({
    jsonrpc: "2.0" as const,
    method: "notifications/resources/updated",
    params: { uri }
  }))
]
