/**
 * The errors of calls, made without a stack trace. They are made by the thousand when a session dies under its calls, by
 * fibers whose frames are this library's and Effect's own: capturing those costs more than all else that settles a call.
 */
import * as Data from "effect/Data"
import * as BackendError from "../BackendError.ts"

/** `undefined` where the runtime has no such limit, or has frozen it: then errors have their stack all the same. */
const limits: (ErrorConstructor & { stackTraceLimit?: number }) | undefined =
  Object.getOwnPropertyDescriptor(Error, "stackTraceLimit")?.writable === true ? Error : undefined

/** Makes an error without capturing where. */
export const stackless = <E extends Error>(make: () => E): E => {
  const limit = limits?.stackTraceLimit
  if (limits === undefined || limit === undefined) return make()
  limits.stackTraceLimit = 0
  try {
    return make()
  } finally {
    limits.stackTraceLimit = limit
  }
}

/**
 * Makes one as its class does, but for the check of its fields, which the compiler has checked: it costs as much as all the rest of
 * a rejection. (What a class of `Schema.TaggedError` does beside the check is what `Data.Error` does.)
 */
const maker =
  <Fields extends object, E extends Error>(Class: (new (fields: Fields) => E) & { readonly identifier: string }) =>
  (fields: Fields): E => {
    const _tag = Class.identifier
    return stackless(() => {
      const made: unknown = Reflect.construct(Data.Error, [{ _tag, ...fields }], Class)
      return made instanceof Class ? made : new Class(fields)
    })
  }

export const sessionUnavailable = maker(BackendError.SessionUnavailable)
export const callRejected = maker(BackendError.CallRejected)
export const outcomeUnknown = maker(BackendError.OutcomeUnknown)
export const callFailed = maker(BackendError.CallFailed)
export const sessionReplaced = maker(BackendError.SessionReplaced)

/** Whether it is one of the errors with which a call ends. */
export const isCallError = (error: unknown): error is BackendError.CallError | BackendError.SessionReplaced =>
  error instanceof BackendError.CallFailed ||
  error instanceof BackendError.OutcomeUnknown ||
  error instanceof BackendError.SessionUnavailable ||
  error instanceof BackendError.CallRejected ||
  error instanceof BackendError.SessionReplaced
