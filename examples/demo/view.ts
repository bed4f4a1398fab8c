/**
 * The run as it goes, on stderr: a picture that is drawn over itself four times a second where there is a terminal,
 * and one plain line every two seconds where there is none.
 */
import { Clock, Effect, Schedule } from "effect"
import { clockTime, colouredFor, count, milliseconds } from "./format.ts"
import { driftMsBounds, type Progress } from "./progress.ts"

const frameIntervalMs = 250
const lineIntervalMs = 2_000
const barColumns = 40

/** Shows the progress until the scope closes. */
export const show = Effect.fnUntraced(function* (progress: Progress) {
  const beganAtMs = yield* Clock.currentTimeMillis
  const screen = process.stderr
  const elapsedMs = Effect.map(Clock.currentTimeMillis, (nowMs) => nowMs - beganAtMs)
  const every = (intervalMs: number, draw: (elapsedMs: number) => void) =>
    Effect.forkScoped(Effect.repeat(Effect.map(elapsedMs, draw), Schedule.spaced(intervalMs)))

  if (screen.isTTY !== true) {
    yield* every(lineIntervalMs, (elapsedMs) => screen.write(`${lineOf(progress, elapsedMs)}\n`))
    return
  }
  let drawnRows = 0
  const draw = (elapsedMs: number) => {
    // What is higher than the terminal cannot be drawn over.
    const rows = frameOf(progress, elapsedMs).slice(0, Math.max(1, screen.rows - 1))
    const up = drawnRows === 0 ? "" : `\u001B[${drawnRows}A`
    screen.write(`${up}${rows.map((row) => `${row}\u001B[K\n`).join("")}\u001B[J`)
    drawnRows = rows.length
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => screen.write("\u001B[?25l")),
    () =>
      Effect.andThen(
        Effect.map(elapsedMs, draw),
        Effect.sync(() => screen.write("\u001B[?25h"))
      )
  )
  yield* every(frameIntervalMs, draw)
})

export const lineOf = (progress: Progress, elapsedMs: number): string =>
  [
    `${clockTime(elapsedMs)} ${progress.phase.padEnd(21)}`,
    `scheduled ${count(progress.scheduledCount)}/${count(progress.askedCount)}`,
    `ended ${count(progress.endedCount)}`,
    `${count(progress.ratesPerSecond.at(-1) ?? 0)} attempts/s`,
    `backlog ${count(progress.dueCount)}`,
    `retries ${count(progress.retriesCount)}`,
    `dead letters ${count(progress.deadLettersCount)}`,
    `drift p50 ${milliseconds(progress.driftMsAt(50))} p99 ${milliseconds(progress.driftMsAt(99))}`,
    ...progress.notes.slice(-1)
  ].join("  ")

export const frameOf = (progress: Progress, elapsedMs: number): ReadonlyArray<string> => [
  "",
  `  ${bold(progress.title)}  ${progress.phase.padEnd(barColumns + 8)} ${dim(clockTime(elapsedMs))}`,
  "",
  shareRow("scheduled", progress.scheduledCount, progress),
  shareRow("ended", progress.endedCount, progress),
  "",
  row("attempts", `${bold(count(progress.ratesPerSecond.at(-1) ?? 0))}/s  ${sparkline(progress.ratesPerSecond)}`),
  row("", `${count(progress.retriesCount)} to be tried again, ${deadLetters(progress.deadLettersCount)}`),
  row("backlog", `${bold(count(progress.dueCount))} due, ${count(progress.inProgressCount)} in progress`),
  "",
  row(
    "drift",
    ([50, 99, 100] as const)
      .map((at) => `${dim(at === 100 ? "max" : `p${at}`)} ${bold(milliseconds(progress.driftMsAt(at)))}`)
      .join("   ")
  ),
  ...histogram(progress),
  ...(progress.notes.length === 0 ? [] : [""]),
  ...progress.notes.map((note) => row("", note)),
  ...(progress.phase === "done"
    ? []
    : ["", dim(`  Ctrl-C stops it, kill -9 ${process.pid} kills it. Start it again, and it goes on.`)])
]

const row = (label: string, text: string): string => `  ${dim(label.padEnd(11))}${text}`

const shareRow = (label: string, done: number, { askedCount }: Progress): string => {
  const filled = askedCount === 0 ? barColumns : Math.floor((barColumns * Math.min(done, askedCount)) / askedCount)
  const bar = green("━".repeat(filled)) + dim("━".repeat(barColumns - filled))
  return row(label, `${bar}  ${bold(count(done))} of ${count(askedCount)}`)
}

const histogram = ({ driftMsCounts }: Progress): ReadonlyArray<string> => {
  const most = Math.max(1, ...driftMsCounts.values())
  return driftMsBounds.map((bound, index) => {
    const found = driftMsCounts.get(bound) ?? 0
    const below = driftMsBounds[index - 1] ?? 0
    const label = Number.isFinite(bound) ? `≤ ${milliseconds(bound)}` : `> ${milliseconds(below)}`
    const eighths = found === 0 ? 0 : Math.max(1, Math.round((found / most) * barColumns * 8))
    const bar = "█".repeat(eighths >> 3) + ("▏▎▍▌▋▊▉"[(eighths & 7) - 1] ?? "")
    return `  ${dim(label.padStart(9))}  ${bound <= 100 ? green(bar) : yellow(bar)}${found === 0 ? dim("·") : ` ${count(found)}`}`
  })
}

const sparkline = (rates: ReadonlyArray<number>): string => {
  const most = Math.max(1, ...rates)
  return green(rates.map((rate) => "▁▂▃▄▅▆▇█"[Math.round((rate / most) * 7)]).join(""))
}

const deadLetters = (found: number): string => {
  const text = `${count(found)} dead letters`
  return found === 0 ? text : red(text)
}

const coloured = colouredFor(process.stderr)
const bold = coloured("bold")
const dim = coloured("dim")
const green = coloured("green")
const yellow = coloured("yellow")
const red = coloured("red")
