/** Every scenario of the hostile server, by its name. */
import * as Answers from "./answers.ts"
import * as Lists from "./lists.ts"
import * as Requests from "./requests.ts"
import * as Streams from "./streams.ts"

/** See the module. */
export const attacks = { ...Answers.attacks, ...Streams.attacks, ...Requests.attacks, ...Lists.attacks }

/** One of them. */
export type Name = keyof typeof attacks
