/**
 * Which files vitest begins with. It begins with those that took longest the last time, which a fresh clone does not know: there the
 * largest files come first, and one that waits for minutes may be the last, when nothing is left that could run beside it.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** A sequencer for `test.sequence.sequencer` that begins with these files, named as below `test/`, in this order. */
export const longestFirst = (...names: ReadonlyArray<string>) =>
  class extends BaseSequencer {
    override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
      const rank = ({ moduleId }: TestSpecification) => {
        const index = names.findIndex((name) => moduleId.endsWith(`/test/${name}`))
        return index < 0 ? names.length : index
      }
      // oxlint-disable-next-line unicorn/no-array-sort -- it is no array's
      const sorted = await super.sort(files)
      return sorted.toSorted((one, other) => rank(one) - rank(other))
    }
  }
