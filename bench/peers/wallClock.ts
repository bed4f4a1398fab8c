/**
 * Wall-clock milliseconds with their fractions. `Date.now` is the machine's clock to the whole millisecond, also after the system has
 * adjusted it; `performance.now` has the fraction and drifts away from it. So the fraction is taken from the second and held within
 * the millisecond of the first: a start before its due time, which is whole, always shows, and one at it never looks early.
 */
export const makeWallClock = (
  wholeMs: () => number = Date.now,
  monotonicMs: () => number = () => performance.now()
): (() => number) => {
  let offsetMs = wholeMs() - monotonicMs()
  return () => {
    const whole = wholeMs()
    const fine = offsetMs + monotonicMs()
    const held = Math.min(Math.max(fine, whole), whole + fractionMax)
    offsetMs += held - fine
    return held
  }
}

const fractionMax = 0.999
