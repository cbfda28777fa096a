/**
 * What stands for something else in a text: `${VAR}`, `${VAR:-default}`, `${env:VAR}`, and the folder of the file.
 */

/** What texts are expanded with; all of it is known before. */
export interface Surroundings {
  /** a variable of the environment; `undefined` where it is not set, or empty */
  readonly variable: (name: string) => string | undefined
  /** what `${workspaceFolder}` stands for; `undefined` where a text was read that is in no folder */
  readonly folder: string | undefined
  /** what an `envFile` says; `undefined` where it cannot be read */
  readonly envFile: (path: string) => Readonly<Record<string, string>> | undefined
  /** whether files can be read at all */
  readonly readsFiles: boolean
}

/** A text in which everything is expanded, or why not. */
export interface Expanded {
  readonly text: string
  /** whether something in it came from the environment */
  readonly isSecret: boolean
  /** what was expected where something could not be expanded */
  readonly mistakes: ReadonlyArray<string>
  /** variables that are not set, and have no default */
  readonly unset: ReadonlyArray<string>
}

/** `${` itself, a reference, or one that does not end. */
const references = /\$\$\{|\$\{([^}]*)\}|\$\{/g
const variable = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^]*))?$/

export const expand = (text: string, { folder, variable: valueOf }: Surroundings): Expanded => {
  const mistakes: Array<string> = []
  const unset: Array<string> = []
  let isSecret = false
  const expanded = text.replaceAll(references, (whole: string, inner: string | undefined) => {
    if (whole === "$${") return "${"
    if (inner === undefined) {
      mistakes.push("} at the end of a variable; ${ itself is written $${")
      return whole
    }
    if (inner === "workspaceFolder" && folder !== undefined) return folder
    const [, name, fallback] = variable.exec(inner === "userHome" ? "HOME" : inner) ?? []
    if (name === undefined) {
      mistakes.push(expectedInsteadOf(inner))
      return whole
    }
    const value = valueOf(name)
    if (value !== undefined) {
      isSecret = true
      return value
    }
    if (fallback === undefined) unset.push(name)
    return fallback ?? whole
  })
  return { text: expanded, isSecret, mistakes, unset }
}

const expectedInsteadOf = (inner: string): string =>
  inner.startsWith("input:")
    ? "no ${input:…}: nobody can be asked here; use ${VAR} and set it in the environment"
    : "${VAR}, ${VAR:-default} or ${env:VAR}; ${ itself is written $${"

/** The variables to which a text refers. */
export const variablesOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(references)].flatMap(([, inner]) => {
    const name = variable.exec(inner === "userHome" ? "HOME" : (inner ?? ""))?.[1]
    return name === undefined || inner === "workspaceFolder" ? [] : [name]
  })
