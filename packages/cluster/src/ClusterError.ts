/**
 * What an order to a backend of a cluster can fail with, beside what core says of it.
 */
import * as Schema from "effect/Schema"

/**
 * The storage of the cluster refused, or did not answer within a second, so that the order was not carried out: another process that takes the backend over would
 * not know of it. The backend is as it was before. Give the order again when the storage is back.
 *
 * @since 0.1.0
 */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  backend: Schema.String,
  /** what was ordered: what has to hold wherever the backend is kept */
  command: Schema.Literals(["isolate", "reset"])
}) {
  override get message(): string {
    const what = this.command === "isolate" ? "is not isolated" : "stays isolated"
    return `Backend "${this.backend}" ${what}: the storage of the cluster, where every process looks for it, does not answer`
  }
}
