/** All texts in a part of a prompt, however deep: models differ in how they write them. */
export const textIn = (part: unknown): string => {
  if (typeof part === "string") return part
  if (Array.isArray(part)) return part.map(textIn).join("")
  if (typeof part !== "object" || part === null) return ""
  for (const name of ["text", "output", "value", "content"] as const)
    if (name in part) return textIn(Reflect.get(part, name))
  return ""
}
