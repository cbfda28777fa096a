/**
 * A hash of JSON in 53 bits, in plain code: small enough to be kept for every entry of every list.
 *
 * Two lanes of 32 bits are mixed as MurmurHash3 mixes its words. What the fields of an object come to is added up, so that their
 * order does not matter and nothing has to be sorted.
 */

/** A hash under way, or done. */
interface Lanes {
  first: number
  second: number
}

/**
 * What is nested deeper counts by its kind alone: a definition in which a schema validator could get as far does not exist, and
 * what a server nests without an end must not exhaust the stack.
 */
const maxDepth = 128

export const of = (json: unknown): number => numberOf(hash(json, 0))

const numberOf = ({ first, second }: Lanes): number => (second >>> 11) * 0x1_0000_0000 + (first >>> 0)

const begin = (kind: number): Lanes => ({ first: kind ^ 0x9e37_79b9, second: kind ^ 0x85eb_ca6b })

const mix = (lanes: Lanes, word: number): void => {
  const { first, second } = lanes
  lanes.first = Math.imul(rotate(first ^ Math.imul(word, 0xcc9e_2d51), 15), 0x1b87_3593) + second
  lanes.second = Math.imul(rotate(second ^ Math.imul(word, 0x85eb_ca77), 13), 0xc2b2_ae3d) + lanes.first
}

const rotate = (word: number, by: number) => (word << by) | (word >>> (32 - by))

/** So that every bit that went in reaches every bit that comes out. */
const end = (lanes: Lanes): Lanes => {
  lanes.first = avalanche(lanes.first ^ rotate(lanes.second, 16))
  lanes.second = avalanche(lanes.second + lanes.first)
  return lanes
}

const avalanche = (word: number): number => {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return mixed ^ (mixed >>> 16)
}

const kindOf = { null: 1, boolean: 2, number: 3, string: 4, array: 5, object: 6, none: 7 } as const

const hash = (json: unknown, depth: number): Lanes => {
  switch (typeof json) {
    case "string":
      return ofText(kindOf.string, json)
    case "number":
      return ofText(kindOf.number, String(json))
    case "boolean":
      return ofText(kindOf.boolean, String(json))
    case "object":
      if (json === null) return end(begin(kindOf.null))
      return Array.isArray(json) ? ofArray(json, depth) : ofObject(json, depth)
    default:
      return end(begin(kindOf.none))
  }
}

const ofText = (kind: number, text: string): Lanes => {
  const lanes = begin(kind)
  for (let at = 0; at < text.length; at++) mix(lanes, text.charCodeAt(at))
  mix(lanes, text.length)
  return end(lanes)
}

const ofArray = (items: ReadonlyArray<unknown>, depth: number): Lanes => {
  const lanes = begin(kindOf.array)
  if (depth < maxDepth) for (const item of items) add(lanes, hash(item, depth + 1))
  mix(lanes, items.length)
  return end(lanes)
}

const ofObject = (fields: object, depth: number): Lanes => {
  const sum = begin(kindOf.object)
  let count = 0
  if (depth < maxDepth) {
    for (const [name, value] of Object.entries(fields)) {
      // as in JSON: a field that is undefined is none
      if (value === undefined) continue
      const field = ofText(kindOf.string, name)
      add(field, hash(value, depth + 1))
      end(field)
      sum.first = (sum.first + field.first) | 0
      sum.second = (sum.second + field.second) | 0
      count++
    }
  }
  mix(sum, count)
  return end(sum)
}

const add = (lanes: Lanes, { first, second }: Lanes): void => {
  mix(lanes, first)
  mix(lanes, second)
}
