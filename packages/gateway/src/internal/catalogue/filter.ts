/**
 * Which of a server's tools are shown, by the names that the server gives them.
 */

/** What a view says of tools. */
export interface Tools {
  readonly include?: ReadonlyArray<string> | undefined
  readonly exclude?: ReadonlyArray<string> | undefined
}

/** Whether a tool of that name is shown. */
export type Filter = (name: string) => boolean

const all: Filter = () => true

/** What is excluded is not shown, even where it is included. */
export const of = (tools: Tools | undefined): Filter => {
  const include = tools?.include && new Set(tools.include)
  const exclude = new Set(tools?.exclude)
  if (include === undefined && exclude.size === 0) return all
  return (name) => (include === undefined || include.has(name)) && !exclude.has(name)
}
