/**
 * Checks what a tool returns against the schema that its server gave, within bounds: for a client of
 * `@modelcontextprotocol/client` 2.x. As the module of the same name for SDK 1.x, which says why.
 */
import type {
  JsonSchemaType,
  JsonSchemaValidator,
  JsonSchemaValidatorResult,
  jsonSchemaValidator
} from "@modelcontextprotocol/client"
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/client/validators/ajv"
import { isTimeout, longest as bound, within } from "../internal/boundedTime.ts"

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
      return (input): JsonSchemaValidatorResult<T> => {
        try {
          return within(longest, () =>
            (validate ??= (ajv ??= new AjvJsonSchemaValidator()).getValidator<T>(schema))(input)
          )
        } catch (error) {
          return {
            valid: false,
            data: undefined,
            errorMessage: isTimeout(error) ? `checking it took longer than ${longest} ms` : "the schema is not valid"
          }
        }
      }
    }
  }
}
