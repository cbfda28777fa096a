/**
 * Whether a URI can be one of a resource template (RFC 6570).
 *
 * In one pass, whatever a server writes: each part between expressions is looked for from where the one before it ended. An
 * expression without an operator stands for something without a slash.
 */

/** See the module. */
export const matches = (template: string, uri: string): boolean => {
  const [first = "", ...parts] = template.split("{")
  if (parts.length === 0) return template === uri
  if (!uri.startsWith(first)) return false
  let at = first.length
  for (const [index, part] of parts.entries()) {
    const end = part.indexOf("}")
    if (end === -1) return false
    const expression = part.slice(0, end)
    const literal = part.slice(end + 1)
    const next = literal !== "" ? uri.indexOf(literal, at) : index === parts.length - 1 ? uri.length : at
    const found = index === parts.length - 1 && literal !== "" ? Math.max(next, uri.length - literal.length) : next
    if (found < at || !uri.startsWith(literal, found)) return false
    if (isSimple(expression) && uri.slice(at, found).includes("/")) return false
    at = found + literal.length
  }
  return at === uri.length
}

const isSimple = (expression: string): boolean => /^[A-Za-z0-9_%]/.test(expression)
