/**
 * The text of a file, within bounds; what stands in the way is a mistake of the file.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"

/** Ten thousand servers of some length. */
export const maxBytes = 16 * 1024 * 1024

/** The text, or what was expected of the file. */
export const text = Effect.fnUntraced(function* (path: string, limit = maxBytes) {
  const fileSystem = yield* FileSystem.FileSystem
  return yield* Effect.gen(function* () {
    const { size, type } = yield* fileSystem.stat(path)
    // a pipe or a device has no end, and to open one may wait for ever
    if (type !== "File") return Result.fail(type === "Directory" ? "a file; this is a directory" : "an ordinary file")
    if (Number(size) > limit) return Result.fail(tooLarge(limit))
    // it may have grown
    const chunks = yield* Stream.runCollect(fileSystem.stream(path, { bytesToRead: limit + 1 }))
    return decoded(chunks, limit)
  }).pipe(Effect.catch((error) => Effect.succeed(Result.fail(expectedInsteadOf(error)))))
})

const tooLarge = (limit: number) => `a file of at most ${limit / 1024 / 1024} MiB`

const decoded = (chunks: ReadonlyArray<Uint8Array>, limit: number): Result.Result<string, string> => {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  if (length > limit) return Result.fail(tooLarge(limit))
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  const [first, second] = bytes
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || bytes.subarray(0, 64).includes(0)) {
    return Result.fail("text in UTF-8; this is UTF-16, or no text")
  }
  try {
    // a byte order mark is left out
    return Result.succeed(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    return Result.fail("text in UTF-8")
  }
}

const expectedInsteadOf = ({ reason }: PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "a file that exists"
    case "PermissionDenied":
      return "a file that this process may read"
    default:
      return isLoop(reason) ? "a file; its symbolic links lead in a circle" : "a file that can be read"
  }
}

const isLoop = (reason: PlatformError["reason"]): boolean => {
  const cause: unknown = reason.cause
  return typeof cause === "object" && cause !== null && "code" in cause && cause.code === "ELOOP"
}
