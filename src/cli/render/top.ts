import type { WaitingKind } from "../../store/Vitals.ts"
import type { Paint } from "./paint.ts"
import { table } from "./table.ts"
import { instant, span } from "./time.ts"

export type TopRow = WaitingKind & {
  readonly startsPerSecond: number
  /** Null: none has started lately. */
  readonly driftP50Ms: number | null
  readonly driftP99Ms: number | null
}

export type TopSample = { readonly at: Date; readonly windowMs: number; readonly kinds: ReadonlyArray<TopRow> }

const count = (value: number): string => (value === 0 ? "" : value.toLocaleString("en-US"))

export const topText = ({ at, kinds, windowMs }: TopSample, paint: Paint): string =>
  [
    paint.quiet(`${instant(at)}; starts and drift of the last ${span(windowMs)}; ctrl-c ends`),
    "",
    kinds.length === 0
      ? "No kinds yet. A kind appears when a task of it is scheduled or a worker serves it."
      : table<TopRow>(
          kinds,
          [
            { title: "KIND", value: ({ kind }) => kind },
            { title: "DUE", value: ({ dueCount }) => count(dueCount), align: "right" },
            {
              title: "OLDEST",
              value: ({ oldestDueForMs }) => (oldestDueForMs === null ? "" : span(oldestDueForMs)),
              align: "right"
            },
            { title: "IN PROGRESS", value: ({ inProgressCount }) => count(inProgressCount), align: "right" },
            {
              title: "STARTS/S",
              value: ({ startsPerSecond }) => (startsPerSecond === 0 ? "" : startsPerSecond.toFixed(1)),
              align: "right"
            },
            {
              title: "DRIFT P50",
              value: ({ driftP50Ms }) => (driftP50Ms === null ? "" : span(driftP50Ms)),
              align: "right"
            },
            { title: "P99", value: ({ driftP99Ms }) => (driftP99Ms === null ? "" : span(driftP99Ms)), align: "right" },
            { title: "DEAD", value: ({ deadCount }) => count(deadCount), align: "right", paint: paint.bad },
            {
              title: "LAST HOUR",
              value: ({ deadLatelyCount }) => count(deadLatelyCount),
              align: "right",
              paint: paint.bad
            },
            {
              title: "SERVED BY",
              value: ({ liveSessions, pausedBy }) =>
                pausedBy !== null ? "paused" : liveSessions > 0 ? `${liveSessions} live` : "nobody now",
              paint: (text, { liveSessions, pausedBy }) =>
                liveSessions > 0 && pausedBy === null ? paint.good(text) : paint.bad(text)
            }
          ],
          paint
        )
  ].join("\n")
