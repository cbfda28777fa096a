/**
 * Checks values against JSON Schemas within bounds, whatever SDK the validator is for.
 *
 * Schema and value both come from the server, and checking one against the other can take any time: a `pattern` of six letters
 * 22 s for a value of 28, `uniqueItems` the square of their number. So it gets {@link longest}. Nothing is compiled before it is
 * needed: the SDK's own validator costs 17 KB for each client, and a few milliseconds for each tool that is listed.
 */
import { isTimeout, within } from "./boundedTime.ts"

/** How long checking one value may take, in milliseconds: for that long this process does nothing else. */
export const longest = 500

type Result<T> =
  | { valid: true; data: T; errorMessage: undefined }
  | { valid: false; data: undefined; errorMessage: string }

type Validate<T> = (input: unknown) => Result<T>

/** What `make` makes when it is first needed, within bounds. */
export const check = <T>(make: () => Validate<T>): Validate<T> => {
  let validate: Validate<T> | undefined
  return (input) => {
    try {
      return within(longest, () => (validate ??= make())(input))
    } catch (error) {
      const errorMessage = isTimeout(error) ? `checking it took longer than ${longest} ms` : "the schema is not valid"
      return { valid: false, data: undefined, errorMessage }
    }
  }
}
