/**
 * What becomes of one request: written by `Requests` and by the transport, read by the core.
 */
import type { Connector, Evidence } from "@vmcp-keepalive/core"

/** A `Connector.RequestRecord` that is still being written: `unsent` and without evidence at first. */
export class Record implements Connector.RequestRecord {
  readonly method: string
  declare readonly tool?: string
  fate: Connector.RequestRecord["fate"] = "unsent"
  evidence: Evidence.Evidence | undefined = undefined

  constructor(method: string, tool?: string) {
    this.method = method
    if (tool !== undefined) this.tool = tool
  }

  /** Something ended the request, for now: the SDK may send it again, with new credentials. */
  met(fate: Connector.RequestRecord["fate"], evidence: Evidence.Evidence): void {
    this.fate = fate
    this.evidence = evidence
  }
}

/** The record of a request that is about to be made, with the name of the tool where it calls one. */
export const ofRequest = (request: { readonly method: string; readonly params?: object | undefined }): Record =>
  request.method === "tools/call" && request.params !== undefined && "name" in request.params
    ? new Record(request.method, String(request.params.name))
    : new Record(request.method)
