/**
 * Checks what a tool returns against the schema that its server gave: for a client of `@modelcontextprotocol/sdk` 1.x.
 *
 * Schema and value both come from the server, and checking one against the other can take any time: a `pattern` of six letters
 * 22 s for a value of 28, `uniqueItems` the square of their number. So it gets {@link longest}. Nothing is compiled before it is
 * needed: the SDK's own validator costs 17 KB for each client, and a few milliseconds for each tool that is listed.
 */
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv"
import type {
  JsonSchemaType,
  JsonSchemaValidator,
  jsonSchemaValidator
} from "@modelcontextprotocol/sdk/validation/types.js"
import { isTimeout, longest as bound, within } from "./internal/boundedTime.ts"

/**
 * How long checking one value may take, in milliseconds: for that long this process does nothing else.
 *
 * @since 0.1.0
 */
export const longest: number = bound

/**
 * A validator for one client: schemas are looked up by their `$id`, so that clients of different servers share none.
 *
 * @since 0.1.0
 */
export const validator = (): jsonSchemaValidator => {
  let ajv: AjvJsonSchemaValidator | undefined
  return {
    getValidator: <T>(schema: JsonSchemaType): JsonSchemaValidator<T> => {
      let validate: JsonSchemaValidator<T> | undefined
      return (input) => {
        try {
          return within(longest, () =>
            (validate ??= (ajv ??= new AjvJsonSchemaValidator()).getValidator<T>(schema))(input)
          )
        } catch (error) {
          return {
            valid: false,
            data: undefined,
            errorMessage: isTimeout(error) ? tookTooLong : "the schema is not valid"
          }
        }
      }
    }
  }
}

const tookTooLong = `checking it took longer than ${longest} ms`
