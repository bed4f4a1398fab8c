/**
 * Between the ids that the simulation drew and those that the servers have drawn for the same things. What a caller has named is the
 * same on both sides; what a store names itself (the events of claims and sweeps, what follows from them) is learned where it is first
 * answered, and has to stay what it is.
 */
import { isRecord, Unordered } from "./answers.ts"

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const isId = (value: string): boolean => uuidPattern.test(value)

/** Instants of PostgreSQL come as floating seconds, 0.0002 ms off. */
const slackMs = 0.001

export class Renaming {
  /** From the simulation's to the servers'. */
  #there = new Map<string, string>()
  #back = new Map<string, string>()
  /** From before a failover: what it has taken is asked for by its old name. */
  #former = new Map<string, string>()

  /** The same things get other ids. */
  restart(): void {
    this.#former = new Map([...this.#former, ...this.#there])
    this.#there = new Map()
    this.#back = new Map()
  }

  /** A request in the servers' words. */
  readonly as = <A>(value: A): A => this.#translated(value) as A

  idOf(id: string): string {
    return this.#there.get(id) ?? this.#former.get(id) ?? id
  }

  #translated(value: unknown): unknown {
    if (typeof value === "string") return isId(value) ? this.#pinned(value) : value
    if (Array.isArray(value)) return value.map((item) => this.#translated(item))
    if (!isRecord(value)) return value
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.#translated(item)]))
  }

  #pinned(id: string): string {
    const known = this.#there.get(id) ?? this.#former.get(id)
    if (known !== undefined) return known
    this.#learn(id, id)
    return id
  }

  #learn(expected: string, actual: string): void {
    this.#there.set(expected, actual)
    this.#back.set(actual, expected)
  }

  /** Where the servers differ from the simulation first; null: they agree. What is absent is as good as null. */
  difference(expected: unknown, actual: unknown, path = ""): string | null {
    if (expected instanceof Unordered && actual instanceof Unordered) {
      return this.difference(this.#inOrder(expected, true), this.#inOrder(actual, false), path)
    }
    if (typeof expected === "number" && typeof actual === "number") {
      return Math.abs(expected - actual) <= slackMs ? null : told(path, expected, actual)
    }
    if (typeof expected === "string" && typeof actual === "string" && isId(expected) && isId(actual)) {
      const known = this.#there.get(expected)
      if (known === undefined && !this.#back.has(actual)) {
        this.#learn(expected, actual)
        return null
      }
      return known === actual ? null : told(path, known ?? expected, actual)
    }
    if (Array.isArray(expected) && Array.isArray(actual)) {
      for (let index = 0; index < Math.max(expected.length, actual.length); index++) {
        const found = this.difference(expected[index], actual[index], `${path}[${index}]`)
        if (found !== null) return found
      }
      return null
    }
    if (isRecord(expected) && isRecord(actual)) {
      const names = new Set([...Object.keys(expected), ...Object.keys(actual)])
      for (const name of names) {
        // The words of what a store says by itself are for people.
        if (name === "message" && expected["name"] === "AttemptExpired") continue
        const found = this.difference(expected[name], actual[name], `${path}.${name}`)
        if (found !== null) return found
      }
      return null
    }
    return (expected ?? null) === (actual ?? null) ? null : told(path, expected, actual)
  }

  /** By task, in the servers' words. */
  #inOrder({ rows }: Unordered, isExpected: boolean): ReadonlyArray<unknown> {
    const keyOf = (row: unknown) => {
      const id = isRecord(row) && typeof row["taskId"] === "string" ? row["taskId"] : ""
      return isExpected ? this.idOf(id) : id
    }
    return rows.toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))
  }
}

const textMax = 400
const told = (path: string, expected: unknown, actual: unknown): string => {
  const [one, other] = [expected, actual].map((value) => (JSON.stringify(value) ?? "nothing").slice(0, textMax))
  return `${path === "" ? "the answer" : path}: the simulation has ${one}, the server ${other}`
}
