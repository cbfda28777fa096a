/**
 * Signals are taken one after the other, also those that arise while one is taken; code of others is resumed when there is
 * none left to take, and never in the midst of one.
 */

export interface Turns<Signal> {
  readonly send: (signal: Signal) => void
  /** resumes others when no signal is left */
  readonly later: (resume: () => void) => void
  /** Resumes them now, if nothing is under way. */
  readonly settle: () => void
}

/** `atRest` runs when neither a signal nor a resumption is left; it may bring new ones. */
export const make = <Signal>(take: (signal: Signal) => void, atRest: () => void): Turns<Signal> => {
  const signals: Array<Signal> = []
  const resumptions: Array<() => void> = []
  let isTaking = false
  let isResuming = false
  const settle = () => {
    if (isTaking) return
    isTaking = true
    try {
      for (let signal = signals.shift(); signal; signal = signals.shift()) take(signal)
    } finally {
      isTaking = false
    }
    if (isResuming) return
    isResuming = true
    try {
      while (true) {
        if (resumptions.length === 0) atRest()
        const resume = resumptions.shift()
        if (!resume) return
        resume()
      }
    } finally {
      isResuming = false
    }
  }
  return {
    send: (signal) => {
      signals.push(signal)
      settle()
    },
    later: (resume) => void resumptions.push(resume),
    settle
  }
}
