/**
 * A list from all of its pages, within the bounds that the transports have for the lists that they read themselves.
 */
import { Limits, Message } from "@vmcp-keepalive/sdk-client/peer"

/**
 * Asks for a page.
 *
 * @since 0.1.0
 */
export type Page = (params: Message.Params | undefined) => Promise<Message.Result>

/**
 * What is listed under that name. A cursor that comes twice in a row ends it. Rejects where there is more than the bounds allow.
 *
 * @since 0.1.0
 */
export const all = async (page: Page, name: string): Promise<Array<Record<string, unknown>>> => {
  const { entries: most, pages } = Limits.defaults
  const found: Array<Record<string, unknown>> = []
  let cursor: string | undefined
  for (let asked = 0; asked < pages; asked++) {
    const { nextCursor, [name]: listed } = await page(cursor === undefined ? undefined : { cursor })
    if (!Array.isArray(listed)) throw new Error(`The server's answer has no ${name}`)
    found.push(...listed.filter(Message.isObject))
    if (found.length > most) break
    if (typeof nextCursor !== "string" || nextCursor === cursor) return found
    cursor = nextCursor
  }
  throw new Error(`The server's list of ${name} has no end`)
}
