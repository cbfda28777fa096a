/**
 * Which names, in which directories, decide what a path leads to: the file's own, and that of every symbolic link on the way. Kubernetes
 * exchanges a link in the middle (`..data`), others the last one.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"

/** As Linux has it. */
const maxLinks = 40

/** Names by directory. Where the way ends early, what would continue it. */
export const namesOnTheWay = Effect.fnUntraced(function* (file: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = new Map<string, Set<string>>()
  const add = (directory: string, name: string) => {
    const known = names.get(directory)
    if (known === undefined) names.set(directory, new Set([name]))
    else known.add(name)
  }
  const walk = (directory: string, absolute: string) => ({
    directory,
    rest: path
      .relative(directory, absolute)
      .split(path.sep)
      .filter((part) => part !== "")
  })
  const absolute = path.resolve(file)
  let { directory, rest } = walk(path.parse(absolute).root, absolute)
  let links = 0
  while (rest.length > 0 && links <= maxLinks) {
    const [name = "", ...others] = rest
    const here = path.join(directory, name)
    const target = yield* Effect.option(fileSystem.readLink(here))
    if (Option.isSome(target)) {
      add(directory, name)
      links += 1
      const next = path.resolve(directory, target.value, ...others)
      const root = path.parse(next).root
      ;({ directory, rest } = walk(root, next))
    } else {
      if (others.length === 0) add(directory, name)
      directory = here
      rest = others
    }
  }
  return names
})
