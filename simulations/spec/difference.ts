import { anything } from "./facts.ts"

/** Where two values differ first, and what stands there; null: they agree. What is absent is as good as null, times are to the quarter ms. */
export const differenceOf = (expected: unknown, actual: unknown, path = ""): string | null => {
  if (expected === anything) return null
  if (typeof expected === "number" && typeof actual === "number") {
    return quarters(expected) === quarters(actual) ? null : told(path, expected, actual)
  }
  if (isRecord(expected) && isRecord(actual)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      const found = differenceOf(expected[key] ?? null, actual[key] ?? null, `${path}.${key}`)
      if (found !== null) return found
    }
    return null
  }
  if (Array.isArray(expected) && Array.isArray(actual)) {
    for (let index = 0; index < Math.max(expected.length, actual.length); index++) {
      const found = differenceOf(expected[index] ?? null, actual[index] ?? null, `${path}[${index}]`)
      if (found !== null) return found
    }
    return null
  }
  return expected === actual ? null : told(path, expected, actual)
}

/** The spec's clock stands at quarters; PostgreSQL's instants come as floating seconds, 0.0002 ms off. */
const quarters = (value: number): number => Math.round(value * 4)

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const textMax = 600
const told = (path: string, expected: unknown, actual: unknown): string => {
  const [one, other] = [expected, actual].map((value) => (JSON.stringify(value) ?? "nothing").slice(0, textMax))
  return `${path === "" ? "the answer" : path}: expected ${one}, was ${other}`
}
