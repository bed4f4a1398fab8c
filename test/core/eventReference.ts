import { evolve } from "../../src/core/evolve.ts"
import { machine } from "../../src/core/machine.ts"
import { eventCodes, type EventBody, type EventTag } from "../../src/core/TaskEvent.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import { toColumns } from "../../src/store/postgres/events.ts"

/**
 * `docs/reference/events.md`. The words are here, and the compiler asks for those of every event and every field; the example, what
 * changes and what is stored come out of `evolve`, `machine` and the store's codec. Regenerate it with `UPDATE_DOCS=1`.
 */
export const eventReference = (): string => [...head, ...tags().flatMap(sectionOf)].join("\n")

type BodyOf<Tag extends EventTag> = Extract<EventBody, { readonly _tag: Tag }>
type FieldsOf<Tag extends EventTag> = Exclude<keyof BodyOf<Tag>, "_tag">
type Words<Tag extends EventTag> = {
  readonly when: string
  readonly by: string
  readonly fields: { readonly [Field in FieldsOf<Tag>]-?: string }
  readonly example: BodyOf<Tag>
}

const head = [
  "# Events",
  "",
  "Generated from `src/core/TaskEvent.ts`, `evolve` and the store's codec, and held equal to them by `test/core/eventReference.test.ts`.",
  "To change this page, change `test/core/eventReference.ts` and run `UPDATE_DOCS=1 npx vitest run test/core/eventReference.test.ts`.",
  "",
  "An event is a fact about one task, appended and never changed. `duetime task <id> --json`, `Duetime.history` and the files of",
  "`duetime partitions export` show events as they are here. Which command leads to which: [the machine](machine.md). How each lies in the",
  "table: [`event`](../../schema/README.md#event).",
  "",
  "Every event has these:",
  "",
  "| field | meaning |",
  "| --- | --- |",
  "| `taskId` | The stream: a UUIDv7 of the due time the task was scheduled with. |",
  "| `version` | 1, 2, 3 ... without a gap. Who appends a number first has won. |",
  "| `eventId` | UUID of this event; with `version` the fence of a claim, start or parking. |",
  "| `atMs` | When it was appended, by the database's clock. |",
  "",
  "Names that end in `AtMs` are instants in milliseconds since 1970, UTC; in `InMs` spans in milliseconds. `fence` below is `version` and",
  "`eventId` of the event itself. Nobody holds a task without one, so whoever names an older fence changes nothing. What changes, changes in",
  "`TaskState`: where several stages are named, in some of them.",
  ""
]

const dueAt = "When the next attempt should start"
const attempt = "Number of the attempt, from 1; never reused."
const error =
  "`name` (up to 200 characters), `message` (4,000) and, if there is one, `stack` (8,000) of what the handler failed with"

const words: { readonly [Tag in EventTag]: Words<Tag> } = {
  TaskScheduled: {
    when: "The task was promised. It is version 1 of every task, and no other version.",
    by: "the client's `schedule` and `scheduleMany`, `duetime.schedule` in SQL, the command line; an engine, for an instant of a recurrence; the end of the task that this one follows, in one transaction with it",
    fields: {
      kind: "Name of the kind.",
      priority: "`critical`, `high`, `normal` or `low`.",
      dueAtMs: `${dueAt}, jitter and calendar included.`,
      expiresAtMs: "No attempt starts at this instant or later. Absent: never too late.",
      key: "Idempotency key within the kind, or null.",
      payload: "What the handler is given: any JSON up to 256 KiB. It stands here and nowhere else.",
      follows: "`taskId` and `version` of the end that has scheduled this task. Absent: no end has.",
      onSuccess:
        "The task to be scheduled when this one succeeds: `kind`, `priority`, `inMs`, `dueJitter`, `payload`, and what follows that one. Absent: nothing.",
      onDead: "The same, for when it becomes a dead letter.",
      traceparent: "The span in which it was scheduled, as W3C's trace context has it. Absent: nobody traced it."
    },
    example: {
      _tag: "TaskScheduled",
      kind: "send-reminder",
      priority: "high",
      dueAtMs: 1_795_424_400_000,
      key: "order-7",
      payload: { email: "ada@example.com" }
    }
  },
  TaskClaimed: {
    when: "An engine has taken it, shortly before it is due (`DUETIME_LOOK_AHEAD`), and holds it under its lease.",
    by: "the poller of an engine; where engine and worker are one process, also the worker, with the start in the same statement",
    fields: { sessionId: "The process that holds it." },
    example: { _tag: "TaskClaimed", sessionId: 2 }
  },
  ClaimReleased: {
    when: "It was not started, and waits again as before. No attempt is charged.",
    by: "the engine that held it; the supervisor of any engine, when that one's lease has run out",
    fields: {
      reason:
        "`drained`: the engine stopped in order. `session-lost`: it died. `unserved`: no live worker serves the kind. `paused`: the kind or its queue is paused."
    },
    example: { _tag: "ClaimReleased", reason: "unserved" }
  },
  AttemptStarted: {
    when: "A worker has won the start. From here the attempt counts; the handler is called when this is committed, if the lease still holds.",
    by: "a worker, at the fence of the claim, and never before `dueAtMs`",
    fields: {
      attempt,
      sessionId: "The process that runs it.",
      deadlineAtMs: "Start plus the kind's `timeout`. Then a supervisor ends the attempt if its worker has not.",
      dispatchedAtMs: "When the engine published the task. Null: the worker pulled it, or claimed it itself."
    },
    example: {
      _tag: "AttemptStarted",
      attempt: 1,
      sessionId: 7,
      deadlineAtMs: 1_795_424_430_004,
      dispatchedAtMs: 1_795_424_400_001
    }
  },
  AttemptSucceeded: {
    when: "The handler returned, or its `attempt.commit` committed: in the transaction of what it wrote.",
    by: "the worker of the attempt, at the fence of the start",
    fields: { attempt, result: "What the handler returned: JSON of at most 64 KiB, else null." },
    example: { _tag: "AttemptSucceeded", attempt: 1, result: { sent: true } }
  },
  AttemptFailed: {
    when: "The handler failed, threw, or ran too long, and the policy has another attempt for it.",
    by: "the worker of the attempt, at the fence of the start",
    fields: {
      attempt,
      error: `${error}.`,
      dueAtMs: `${dueAt}, by the policy or by \`Task.retryIn\` and \`Task.retryAt\`.`
    },
    example: {
      _tag: "AttemptFailed",
      attempt: 1,
      error: { name: "MailerError", message: "503" },
      dueAtMs: 1_795_424_402_100
    }
  },
  AttemptSnoozed: {
    when: "The handler said `Task.snooze`.",
    by: "the worker of the attempt, at the fence of the start",
    fields: { attempt, dueAtMs: `${dueAt}.` },
    example: { _tag: "AttemptSnoozed", attempt: 1, dueAtMs: 1_795_425_000_000 }
  },
  AttemptReleased: {
    when: "The attempt was interrupted by duetime, not by its handler, and given back.",
    by: "the worker of the attempt, at the fence of the start",
    fields: {
      attempt,
      reason:
        "`drained`: the worker stopped in order, and the attempt did not end within its grace. `session-lost`: the worker saw that its lease was gone, before the handler was called or while it ran. Others belong to claims.",
      dueAtMs: `${dueAt}: at once.`
    },
    example: { _tag: "AttemptReleased", attempt: 1, reason: "drained", dueAtMs: 1_795_424_420_000 }
  },
  AttemptExpired: {
    when: "The attempt was cut off: nobody has reported its end, and the policy has another one for it.",
    by: "the supervisor of any engine",
    fields: {
      attempt,
      reason:
        "`session-lost`: the worker's lease ran out, a death. `session-left`: the worker stopped in order and left it. `deadline`: it ran past `deadlineAtMs`.",
      dueAtMs: `${dueAt}, by the policy.`
    },
    example: { _tag: "AttemptExpired", attempt: 1, reason: "session-lost", dueAtMs: 1_795_424_407_000 }
  },
  TaskParked: {
    when: 'The attempt was cut off, and its kind says `onInterrupted: "park"`: it may have acted, so somebody must look first.',
    by: "the supervisor of any engine",
    fields: { attempt, reason: "As of `AttemptExpired`." },
    example: { _tag: "TaskParked", attempt: 1, reason: "session-lost" }
  },
  TaskResumed: {
    when: "A parked task may go on: what was cut off has done nothing, or a person says so.",
    by: "a worker that asked the kind's `reconcile`, at the fence of the parking; `runNow` of a person",
    fields: {
      reason: "`not-done`: the outside said so. `run-now`: a person did.",
      dueAtMs: `${dueAt}: after the policy's delay, or now.`
    },
    example: { _tag: "TaskResumed", reason: "not-done", dueAtMs: 1_795_424_420_000 }
  },
  TaskReconciled: {
    when: "The outside said that the attempt which was cut off has done its work. The task has succeeded.",
    by: "a worker that asked the kind's `reconcile`, at the fence of the parking",
    fields: { attempt, result: "What `Task.done` was given." },
    example: { _tag: "TaskReconciled", attempt: 1, result: { chargeId: "ch_1" } }
  },
  TaskDeadLettered: {
    when: "The task is a dead letter: there is no further attempt unless a person redrives it.",
    by: "the worker of the last attempt, at the fence of the start; a supervisor, if that attempt was cut off; a worker that asked `reconcile`",
    fields: {
      attempt,
      reason:
        "`exhausted`: its attempts are used up. `not-retryable`: `Task.fatal`, or a payload that does not fit the schema. `discarded`: `Task.discard`. `quarantined`: it has died `deathsMax` times in a row.",
      error: `${error}, or why the attempt was cut off.`
    },
    example: {
      _tag: "TaskDeadLettered",
      attempt: 8,
      reason: "exhausted",
      error: { name: "MailerError", message: "503" }
    }
  },
  TaskRedriven: {
    when: "A person gave a dead letter all its attempts again.",
    by: "`redrive` and `redriveWith`, `duetime dead redrive`",
    fields: {
      dueAtMs: `${dueAt}: now.`,
      payload: "The mended payload; every attempt from here on is given this one. Absent: as it was."
    },
    example: { _tag: "TaskRedriven", dueAtMs: 1_795_440_000_000 }
  },
  TaskRescheduled: {
    when: "Its due time was moved while it waited. A claim is gone with it.",
    by: "`reschedule` and `runNow` of the client and of the command line",
    fields: { dueAtMs: `${dueAt}.` },
    example: { _tag: "TaskRescheduled", dueAtMs: 1_795_510_800_000 }
  },
  TaskReprioritised: {
    when: "Its priority was changed. One that is claimed is given back, so that it is dispatched anew; one that runs goes on.",
    by: "`reprioritise` of the client and of the command line",
    fields: { priority: "The new one." },
    example: { _tag: "TaskReprioritised", priority: "critical" }
  },
  CancelRequested: {
    when: "Somebody wants a running task to end. The handler goes on; any end of its attempt but a success makes it cancelled.",
    by: '`cancel` of the client and of the command line; an engine, for a recurrence with `overlap: "cancel"`',
    fields: { reason: "Up to 1,000 characters, or null." },
    example: { _tag: "CancelRequested", reason: "customer left" }
  },
  TaskCancelled: {
    when: "The task has ended because somebody wanted it to; also a dead letter that a person has discarded.",
    by: "`cancel` and `discard` of the client and of the command line; the worker, when an attempt with a cancel request ends; an engine, for what an edited recurrence takes back",
    fields: { reason: "What was given with the wish, or what the last attempt failed with; else null." },
    example: { _tag: "TaskCancelled", reason: "customer left" }
  },
  TaskExpired: {
    when: "It is too late to start it, or to try it again: `expiresAtMs` has come, or would before the next attempt.",
    by: "the supervisor of any engine, within about a second; the worker whose attempt would have been tried again",
    fields: { error: "What the last attempt failed with; null if none has failed." },
    example: { _tag: "TaskExpired", error: null }
  }
}

const tags = (): ReadonlyArray<EventTag> =>
  typedKeys(eventCodes).toSorted((one, other) => eventCodes[one] - eventCodes[other])

const typedKeys = <Key extends string>(record: Readonly<Record<Key, unknown>>): ReadonlyArray<Key> =>
  Object.keys(record).filter((key): key is Key => key in record)

const sectionOf = (tag: EventTag): ReadonlyArray<string> => {
  const { by, example, fields, when } = words[tag]
  return [
    `## ${tag}`,
    "",
    ...wrapped(when),
    "",
    ...wrapped(`Appended by ${by}.`),
    "",
    "| field | meaning |",
    "| --- | --- |",
    ...Object.entries(fields).map(([field, meaning]) => `| \`${field}\` | ${meaning} |`),
    "",
    ...wrapped(`Changes: ${changesOf(tag).join("; ")}. Stored as type ${eventCodes[tag]}, with ${columnsOf(example)}.`),
    "",
    "```json",
    jsonOf(example),
    "```",
    ""
  ]
}

const widthMax = 130

const wrapped = (text: string): ReadonlyArray<string> =>
  text.match(new RegExp(`\\S.{0,${widthMax - 1}}(?=\\s|$)`, "g")) ?? []

/** One line, with the spaces that make it readable. */
const jsonOf = (example: EventBody): string => JSON.stringify(example, null, 1).replaceAll(/\n\s*/g, " ")

const columnsOf = (example: EventBody): string =>
  Object.entries(toColumns(example))
    .filter(([column, value]) => column !== "type" && value !== null)
    .map(([column]) => `\`${column.replace("Ms", "").replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}\``)
    .concat(example._tag === "TaskScheduled" ? ["`kind_id`"] : [])
    .join(", ") || "nothing else"

/** What `evolve` makes of the example in the stages in which the machine names the event. */
const changesOf = (tag: EventTag): ReadonlyArray<string> => {
  const edges = machine.filter(([, , , event]) => event === tag)
  const stages = edges.map(([from, , , , to]) => `${from === "none" ? "(no task)" : from} to ${to}`)
  const changes = edges.flatMap(([from]) => (from === "none" ? [] : changesIn(from, tag)))
  return [[...new Set(stages)].join(", "), ...new Set(changes)]
}

const changesIn = (stage: TaskState["stage"], tag: EventTag): ReadonlyArray<string> => {
  const before = livingState(stage)
  const after = evolve(before, { ...words[tag].example, taskId: before.taskId, version: 8, eventId: "new", atMs: 0 })
  return typedKeys(after)
    .filter((field) => !["stage", "version", "eventId"].includes(field) && !isSame(before[field], after[field]))
    .map((field) => `\`${field}\` ${textOf(field, before[field], after[field])}`)
}

const isSame = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other)

const textOf = (field: keyof TaskState, before: unknown, after: unknown): string => {
  if (after === null) return "none"
  if (field === "charged" || field === "deaths") return after === 0 ? "0" : Number(after) > Number(before) ? "+1" : "-1"
  return field === "fence" ? "this event's" : field === "cancelRequested" ? String(after) : "as told"
}

/** A task with something in every field that an event may change. */
const livingState = (stage: TaskState["stage"]): TaskState => {
  const isHeld = stage === "claimed" || stage === "running"
  return {
    taskId: "019ab1d6-9c00-7a1b-8c2d-0123456789ab",
    stage,
    kind: "send-reminder",
    priority: "low",
    dueAtMs: 1,
    expiresAtMs: null,
    version: 7,
    eventId: "old",
    fence: isHeld || stage === "parked" ? { version: 7, eventId: "old" } : null,
    sessionId: isHeld ? 1 : null,
    attempt: 2,
    charged: 2,
    deaths: 2,
    deadlineAtMs: stage === "running" ? 1 : null,
    cancelRequested: false,
    followed: false
  }
}
