/**
 * What comes of options is made once for all who have them: thousands of backends share one policy.
 */
import * as Duration from "effect/Duration"
import type { Unchecked } from "./issues.ts"
import { isPlain } from "./untyped.ts"

/** A function of two objects, called once for the same two. */
export const ofTwo = <A extends object, B>(make: (first: A, second: A) => B): ((first: A, second: A) => B) => {
  const made = new WeakMap<A, WeakMap<A, { readonly value: B }>>()
  return (first, second) => {
    const ofFirst = made.get(first) ?? new WeakMap<A, { readonly value: B }>()
    made.set(first, ofFirst)
    const found = ofFirst.get(second) ?? { value: make(first, second) }
    ofFirst.set(second, found)
    return found.value
  }
}

/** What is made of options, once for each variant of it: for the same object, and for another one that says the same. */
export const ofOptions = <A>() => {
  const made = new WeakMap<object, Map<string, A>>()
  const alike = new Map<string, A>()
  return (options: object, variant: string, make: () => A): A => {
    const ofThis = made.get(options) ?? new Map<string, A>()
    made.set(options, ofThis)
    const known = ofThis.get(variant)
    if (known !== undefined) return known
    const words = wordsOf({ ...options })
    const key = words === undefined ? undefined : `${variant} ${words}`
    const value = (key === undefined ? undefined : alike.get(key)) ?? make()
    ofThis.set(variant, value)
    if (key !== undefined) {
      // an app has a few policies: one that makes them up without an end must not fill the memory
      if (alike.size >= maxAlike) alike.clear()
      alike.set(key, value)
    }
    return value
  }
}

const maxAlike = 256

/** The options in words; `undefined` where they hold what is itself alone, such as a Schedule, or more than a policy needs. */
const wordsOf = (options: Unchecked, depth = 0): string | undefined => {
  let words = ""
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue
    const said = wordOf(value, depth)
    if (said === undefined) return undefined
    words += `${JSON.stringify(key)}:${said},`
  }
  return words.length > maxWords ? undefined : `{${words}}`
}

const wordOf = (value: unknown, depth: number): string | undefined => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value)
    case "number":
    case "boolean":
      return String(value)
    case "bigint":
      return `${value}n`
    default:
      if (Duration.isDuration(value)) return `(${value})`
      return isPlain(value) && depth < maxDepth ? wordsOf(value, depth + 1) : undefined
  }
}

const maxWords = 1024
/** `circuit.openFor.minutes` */
const maxDepth = 2
