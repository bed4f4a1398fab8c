/** A small transactional database for handlers under simulation: what they would write with SQL. */
import { Context, Effect } from "effect"
import { CurrentTransaction } from "../../store/memory/MemoryTransaction.ts"
import type { StoreUnavailable } from "../../store/StoreError.ts"
import { attemptOfFiber, type By, type Kept, type Reach } from "./Kept.ts"

/** The application's own tables, in the database where duetime is: a row is there at once, or with the attempt's commit. */
export class Ledger extends Context.Service<Ledger, Reach>()("duetime/testing/Ledger") {
  /** A table. Make it once, beside the tasks; each history has rows of its own. */
  static readonly table = <Row>(name: string): LedgerTable<Row> => new LedgerTable<Row>(name)
}

export type LedgerRow<Row> = By & { readonly row: Row; readonly isCommitted: boolean }

export class LedgerTable<Row> {
  readonly name: string
  readonly #rows = new WeakMap<Kept, Array<LedgerRow<Row>>>()

  constructor(name: string) {
    this.name = name
  }

  /**
   * Adds a row. Inside the body of `attempt.commit` it is there if the attempt has succeeded, and otherwise never was; elsewhere at
   * once, and the answer may be lost: `StoreUnavailable`.
   */
  insert(row: Row): Effect.Effect<void, StoreUnavailable, Ledger> {
    return Effect.gen({ self: this }, function* () {
      const ledger = yield* Ledger
      const { attempt, taskId } = yield* attemptOfFiber
      const transaction = yield* CurrentTransaction
      const copy = structuredClone(row)
      const add = () => {
        const by = { taskId, attempt, node: ledger.node, atMs: ledger.nowMs() }
        ledger.note(`inserts into ${this.name} ${JSON.stringify(copy)}`)
        this.#rowsOf(ledger.kept).push({ ...by, row: copy, isCommitted: transaction !== null })
        const how = transaction === null ? "inserts" : "commits"
        ledger.kept.deeds.push({ ...by, text: `${how} into ${this.name}: ${JSON.stringify(copy)}` })
      }
      if (transaction === null) return yield* ledger.call(add)
      if (transaction.effects.length === 0) transaction.effects.push(() => countCommit(ledger.kept, taskId, attempt))
      transaction.effects.push(add)
    })
  }

  /** All rows that are there, oldest first: as a transaction that is READ COMMITTED sees them. */
  get rows(): Effect.Effect<ReadonlyArray<Row>, StoreUnavailable, Ledger> {
    return Effect.flatMap(Ledger, (ledger) =>
      ledger.call(() => this.#rowsOf(ledger.kept).map(({ row }) => structuredClone(row)))
    )
  }

  /** The rows of a history that is over, with who wrote them. */
  in({ kept }: { readonly kept: Kept }): ReadonlyArray<LedgerRow<Row>> {
    return this.#rowsOf(kept)
  }

  #rowsOf(kept: Kept): Array<LedgerRow<Row>> {
    const rows = this.#rows.get(kept) ?? []
    this.#rows.set(kept, rows)
    return rows
  }
}

const countCommit = ({ commits }: Kept, taskId: string | null, attempt: number | null) => {
  const name = `${taskId} ${attempt}`
  commits.set(name, (commits.get(name) ?? 0) + 1)
}
