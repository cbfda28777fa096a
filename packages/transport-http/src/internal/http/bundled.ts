/**
 * What CommonJS needs in a bundle as an ES module.
 */

/** This module as it is where nobody has bundled it. */
const unbundled = /\/internal\/http\/bundled\.[jt]s(\?.*)?$/

/** Whether the module at this URL is part of a bundle; one as CommonJS gives it no URL, and has a `require`. */
export const isBundle = (url: string | undefined): boolean => url !== undefined && !unbundled.test(url)

/**
 * Gives Node's own modules to `require` in a bundle as an ES module, where esbuild leaves those calls of undici as they are: they
 * find nothing but a global. It requires nothing else. Elsewhere, and where there is one already, this does nothing.
 */
export const provideRequire = (url: string | undefined = import.meta.url, to: object = globalThis): void => {
  if (isBundle(url) && !("require" in to))
    Object.defineProperty(to, "require", { configurable: true, writable: true, value: requireBuiltin })
}

const requireBuiltin = (id: string): unknown => {
  const found: unknown = process.getBuiltinModule(id)
  if (found === undefined) throw new Error(`Dynamic require of "${id}" is not supported`)
  return found
}
