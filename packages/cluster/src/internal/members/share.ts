/**
 * A part of what several may do together, for the one at that index: the parts of all sum up to the whole, where that is enough for one each.
 */
export const shareOf = (total: number, index: number, count: number): number =>
  Math.max(1, Math.floor(total / count) + (index < total % count ? 1 : 0))
