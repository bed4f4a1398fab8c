/**
 * The protocol, broken on purpose: each breakage replaces a text of the sources that stands there exactly once, and names the points
 * whose hits must show it. Who changes such a text in the sources is told by a test, and decides anew what breaks it.
 */
export type Replacement = {
  /** From the repository's root. */
  readonly file: string
  readonly text: string
  readonly by: string
}

export type Breakage = {
  readonly name: string
  readonly says: string
  readonly replacements: ReadonlyArray<Replacement>
  /** Those that run; a few hits each are enough. */
  readonly points: ReadonlyArray<string>
  readonly hits: number
}

const statements = "src/store/postgres/statements.ts"
const settleStatement = "src/store/postgres/settleStatement.ts"
const settle = "src/store/postgres/settle.ts"

export const breakages: ReadonlyArray<Breakage> = [
  {
    name: "no-fence",
    says: "an outcome is recorded for whatever attempt is running, whoever brings it",
    replacements: [
      {
        file: settleStatement,
        text: `WHERE p.task_id = w.task_id AND p.fence_id = w.fence_id AND p.fence_version = w.fence_version
      AND (p.status = 1) = (w.type = \${ClaimReleased})`,
        by: `WHERE p.task_id = w.task_id
      AND (p.status = 1) = (w.type = \${ClaimReleased})`
      }
    ],
    points: ["worker-frozen-writing"],
    hits: 3
  },
  {
    name: "no-fence-in-commit",
    says: "a transaction of a handler commits although its attempt is somebody else's by now",
    replacements: [
      {
        file: settle,
        text: "return yield* new LeaseLost({ taskId: outcome.started.taskId, attempt: outcome.started.attempt })",
        by: "return value"
      }
    ],
    points: ["worker-frozen-writing"],
    hits: 3
  },
  {
    name: "no-compare-and-set-at-the-start",
    says: "a hint starts its task whatever has become of the claim it names",
    replacements: [
      {
        file: statements,
        text: `WHERE p.task_id = w.task_id AND p.fence_id = w.fence_id AND p.fence_version = w.fence_version
      AND p.due_at <= (SELECT at FROM now)`,
        by: `WHERE p.task_id = w.task_id
      AND p.due_at <= (SELECT at FROM now)`
      }
    ],
    points: ["engine-frozen"],
    hits: 3
  },
  {
    name: "attempts-counted-at-the-end",
    says: "an attempt is charged when its failure is recorded, and not when it starts",
    replacements: [
      {
        file: statements,
        text: "attempt = p.attempt + 1, charged = p.charged + 1,",
        by: "attempt = p.attempt + 1,"
      },
      {
        file: settleStatement,
        text: "THEN greatest(charged - 1, 0) ELSE charged END",
        by: "THEN charged WHEN type = ${AttemptFailed} THEN charged + 1 ELSE charged END"
      }
    ],
    points: ["worker-poisoned"],
    hits: 4
  },
  {
    name: "completion-outside-the-transaction",
    says: "a handler's SQL commits first, and then its outcome",
    replacements: [
      {
        file: settle,
        text: "          const outcome = request(value)\n",
        by: '          yield* sql.unsafe("COMMIT")\n          yield* sql.unsafe("BEGIN")\n          const outcome = request(value)\n'
      }
    ],
    points: ["worker-writing"],
    hits: 3
  },
  {
    name: "the-nodes-clock",
    says: "what is due, and may start, is decided by the clocks of engines and workers",
    replacements: [
      {
        file: statements,
        text: "      AND p.due_at <= (SELECT at FROM now)\n",
        by: "      AND p.due_at <= to_timestamp(${Date.now() / 1_000})\n"
      },
      {
        file: "src/store/postgres/DatabaseClock.ts",
        text: "const nowMs = () => monotonicMs() + aheadMs",
        by: "const nowMs = () => preciseMs(clock)"
      }
    ],
    points: ["engine-ahead", "worker-ahead"],
    hits: 10
  },
  {
    name: "lost-answers-guessed",
    says: "a transaction whose COMMIT was not answered counts as rolled back, and its repeat is kept",
    replacements: [
      {
        file: settle,
        text: "if (before.has(outcome.eventId)) return yield* new RecordedBefore({ value })",
        by: "if (before.has(outcome.eventId)) return value"
      }
    ],
    points: ["worker-commit-unanswered"],
    hits: 3
  }
]
