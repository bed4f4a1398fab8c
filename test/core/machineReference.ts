import { machine } from "../../src/core/machine.ts"
import type { CommandTag } from "../../src/core/TaskCommand.ts"
import { eventCodes } from "../../src/core/TaskEvent.ts"
import { stages, statusOf } from "../../src/core/TaskState.ts"

/** `docs/reference/machine.md`: the machine's table as a page. Regenerate it with `UPDATE_DOCS=1`. */
export const machineReference = (): string =>
  [
    "# The task machine",
    "",
    "Generated from `src/core/machine.ts` and held equal to it by `test/core/machineReference.test.ts`; to change this",
    "page, change the table and run `UPDATE_DOCS=1 npx vitest run test/core/machineReference.test.ts`.",
    "",
    "A task is one stream of events. A command finds the first row of its stage whose guard holds, and the event of that",
    "row is appended at the next version, or nothing at all. No row: the command is not possible, and its sender is told",
    "so. Commands of whoever holds a task (release, start, the outcomes, expire) also carry the fence of their claim or",
    "start, and reconciling that of the parking; with any other fence they have lost the lease and change nothing.",
    "",
    "## Picture",
    "",
    "```mermaid",
    "stateDiagram-v2",
    ...edges(),
    "```",
    "",
    "## Stages",
    "",
    ...tableOf(
      ["stage", "status", "meaning"],
      stages.map((stage) => [stage, statusOf[stage], meaningOfStage[stage]])
    ),
    "",
    "## Rows",
    "",
    ...tableOf(
      ["in stage", "command", "if", "event", "then in stage"],
      machine.map(([from, command, guard, event, to]) => [
        from === "none" ? "(no task yet)" : from,
        command,
        meaningOfGuard[guard],
        event ?? "(none: already so)",
        to === "same" ? from : to
      ])
    ),
    "",
    "## What is possible where",
    "",
    "An empty field: not possible. Several events: the first whose guard holds.",
    "",
    ...tableOf(
      ["command", ...stages],
      commands().map((command) => [command, ...stages.map((stage) => answersOf(stage, command))])
    ),
    "",
    "## Events",
    "",
    "The code is what the database stores; codes are never reused or renumbered. What each event tells: [events](events.md).",
    "",
    ...tableOf(
      ["code", "event"],
      Object.entries(eventCodes)
        .toSorted(([, one], [, other]) => one - other)
        .map(([event, code]) => [String(code), event])
    ),
    ""
  ].join("\n")

const meaningOfStage: Record<(typeof stages)[number], string> = {
  pending: "waits for its due time, or for an engine",
  claimed: "an engine holds it until its due time and dispatches it",
  running: "a worker runs its handler",
  parked: "its attempt was interrupted and must not be repeated without a person or a reconciler",
  dead: "a dead letter: out of attempts, not retryable, discarded or quarantined; kept until a person redrives it",
  succeeded: "its handler succeeded",
  cancelled: "somebody cancelled it",
  expired: "it has not started before the instant from which on it is worthless"
}

const meaningOfGuard: Record<(typeof machine)[number][2], string> = {
  always: "",
  cancelRequested: "a cancel was requested during the attempt",
  mayRetry: "the failure may be retried and charged attempts are left",
  retriesTooLate: "it would be tried again, but not before it expires",
  isTooLate: "it has expired",
  quarantines: "the worker's process has died, and it is the last death in a row that the policy allows",
  parks: 'the kind says `onInterrupted: "park"`',
  wasDone: "the outside says that the attempt has done its work",
  samePriority: "it has that priority",
  alreadyDue: "it is due"
}

const commands = (): ReadonlyArray<CommandTag> => [...new Set(machine.map(([, command]) => command))]

const answersOf = (stage: string, command: string): string =>
  machine
    .filter(([from, of]) => from === stage && of === command)
    .map(([, , , event]) => event ?? "already so")
    .join(" / ")

const edges = (): ReadonlyArray<string> => {
  const labels = new Map<string, Set<string>>()
  for (const [from, , , event, to] of machine) {
    if (event === null) continue
    const edge = `${from === "none" ? "[*]" : from} --> ${to === "same" ? from : to}`
    labels.set(edge, (labels.get(edge) ?? new Set()).add(event))
  }
  const ends = ["succeeded --> [*]", "cancelled --> [*]", "expired --> [*]"]
  return [
    ...[...labels].map(([edge, events]) => `  ${edge}: ${[...events].join(", ")}`),
    ...ends.map((end) => `  ${end}`)
  ]
}

const tableOf = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> =>
  [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`)
