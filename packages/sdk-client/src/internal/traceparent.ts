/**
 * The span that a request belongs to, in its `_meta` (W3C Trace Context; MCP SEP-414).
 */

/** The request with the span in its `_meta`, unless one is there. */
export const withTraceparent = <
  Request extends { readonly params?: { readonly _meta?: object | undefined } | undefined }
>(
  request: Request,
  traceparent: string | undefined
): Request =>
  traceparent === undefined
    ? request
    : { ...request, params: { ...request.params, _meta: { traceparent, ...request.params?._meta } } }
