/**
 * A hash of JSON in 53 bits, in plain code: small enough to be kept for every entry of every list.
 *
 * Two lanes of 32 bits are mixed much as MurmurHash3 mixes its words. What the fields of an object come to is added up, so that their
 * order does not matter and nothing has to be sorted.
 */

/** The lanes of what is being hashed, and then of what was: here, since a list may have a million values, and each would make an object. */
let first = 0
let second = 0

/**
 * What is nested deeper counts by its kind alone: a definition in which a schema validator could get as far does not exist, and
 * what a server nests without an end must not exhaust the stack.
 */
const maxDepth = 128

export const of = (json: unknown): number => {
  hash(json, 0)
  return (second >>> 11) * 0x1_0000_0000 + (first >>> 0)
}

const kindOf = { null: 1, boolean: 2, number: 3, string: 4, array: 5, object: 6, none: 7 } as const

const hash = (json: unknown, depth: number): void => {
  switch (typeof json) {
    case "string":
      return ofText(kindOf.string, json)
    case "number":
      return ofText(kindOf.number, String(json))
    case "boolean":
      return ofText(kindOf.boolean, String(json))
    case "object":
      if (json === null) return ofText(kindOf.null, "")
      return Array.isArray(json) ? ofArray(json, depth) : ofObject(json, depth)
    default:
      return ofText(kindOf.none, "")
  }
}

const ofText = (kind: number, text: string): void => {
  begin(kind)
  const { length } = text
  // two code units a word; an odd one is alone in the last, which the length tells from a pair with U+0000
  for (let at = 0; at < length; at += 2) {
    mix(at + 1 < length ? text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16) : text.charCodeAt(at))
  }
  mix(length)
  end()
}

const ofArray = (items: ReadonlyArray<unknown>, depth: number): void => {
  begin(kindOf.array)
  if (depth < maxDepth) for (const item of items) mixIn(item, depth + 1)
  mix(items.length)
  end()
}

const ofObject = (fields: object, depth: number): void => {
  let sumOfFirst = 0
  let sumOfSecond = 0
  let count = 0
  if (depth < maxDepth) {
    // without the pairs that `entries` would make
    for (const name of Object.keys(fields)) {
      const value: unknown = Reflect.get(fields, name)
      // as in JSON: a field that is undefined is none
      if (value === undefined) continue
      ofText(kindOf.string, name)
      mixIn(value, depth + 1)
      end()
      sumOfFirst = (sumOfFirst + first) | 0
      sumOfSecond = (sumOfSecond + second) | 0
      count++
    }
  }
  begin(kindOf.object)
  mix(sumOfFirst)
  mix(sumOfSecond)
  mix(count)
  end()
}

/** What is under way goes on with what the value comes to. */
const mixIn = (json: unknown, depth: number): void => {
  const [firstBefore, secondBefore] = [first, second]
  hash(json, depth)
  const [firstOfValue, secondOfValue] = [first, second]
  first = firstBefore
  second = secondBefore
  mix(firstOfValue)
  mix(secondOfValue)
}

const begin = (kind: number): void => {
  first = kind ^ 0x1e37_79b9
  second = kind ^ 0x05eb_ca6b
}

const mix = (word: number): void => {
  const before = second
  second = (Math.imul(rotated(second ^ Math.imul(word, 0x85eb_ca77), 13), 0xc2b2_ae3d) + first) | 0
  first = (Math.imul(rotated(first ^ Math.imul(word, 0xcc9e_2d51), 15), 0x1b87_3593) + before) | 0
}

/** So that every bit that went in reaches every bit that comes out. */
const end = (): void => {
  first = avalanched(first ^ rotated(second, 16))
  second = avalanched((second + first) | 0)
}

const rotated = (word: number, by: number): number => (word << by) | (word >>> (32 - by))

const avalanched = (word: number): number => {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return mixed ^ (mixed >>> 16)
}
