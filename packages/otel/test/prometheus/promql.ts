/** The names in a PromQL expression: just enough of its grammar to tell metrics, labels and words apart. */

export interface Selector {
  readonly metric: string
  readonly matchers: ReadonlyArray<{ readonly label: string; readonly operator: string; readonly value: string }>
}

export interface Names {
  readonly selectors: ReadonlyArray<Selector>
  /** of `by`, `without`, `on`, `ignoring`, `group_left` and `group_right` */
  readonly grouping: ReadonlyArray<string>
}

const token = /"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\$\w+|\d[\w.]*|[a-zA-Z_:][\w:]*|[=!<>]=|[=!]~|\S/g
const identifier = /^[a-zA-Z_:]/
const groupings = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"])
const operators = new Set(["and", "or", "unless", "offset", "bool"])

export const namesOf = (expression: string): Names => {
  const tokens = [...expression.matchAll(token)].map(([text]) => text)
  const selectors: Array<Selector> = []
  const grouping: Array<string> = []
  for (let at = 0; at < tokens.length; at++) {
    const text = tokens[at] ?? ""
    if (groupings.has(text) && tokens[at + 1] === "(") {
      const end = tokens.indexOf(")", at)
      grouping.push(...tokens.slice(at + 2, end).filter((word) => word !== ","))
      at = end
    } else if (operators.has(text)) {
      continue
    } else if (text === "{" || (identifier.test(text) && tokens[at + 1] === "{")) {
      const start = text === "{" ? at : at + 1
      const end = tokens.indexOf("}", start)
      selectors.push({ metric: text === "{" ? "" : text, matchers: matchersOf(tokens.slice(start + 1, end)) })
      at = end
    } else if (identifier.test(text) && tokens[at + 1] !== "(" && !isFunction(tokens, at)) {
      selectors.push({ metric: text, matchers: [] })
    }
  }
  return { selectors, grouping }
}

/** `sum by (…) (…)`: the name of an aggregation may be followed by its grouping. */
const isFunction = (tokens: ReadonlyArray<string>, at: number) =>
  groupings.has(tokens[at + 1] ?? "") && tokens[at + 2] === "("

const matchersOf = (tokens: ReadonlyArray<string>): Selector["matchers"] => {
  const matchers: Array<Selector["matchers"][number]> = []
  for (let at = 0; at < tokens.length; at += 4) {
    const [label = "", operator = "", value = ""] = tokens.slice(at, at + 3)
    matchers.push({ label, operator, value: value.slice(1, -1) })
  }
  return matchers
}

/** The words that a matcher compares with: those of a regular expression are alternatives. */
export const wordsOf = ({ operator, value }: Selector["matchers"][number]): ReadonlyArray<string> =>
  operator.endsWith("~") ? value.split("|") : [value]
