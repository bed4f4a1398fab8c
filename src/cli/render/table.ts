import type { Paint } from "./paint.ts"

export type Column<Row> = {
  readonly title: string
  readonly value: (row: Row) => string
  /** Numbers are easier to compare flush right. */
  readonly align?: "left" | "right"
  readonly paint?: (text: string, row: Row) => string
}

/** Columns two blanks apart, as wide as their widest cell; the last one is not padded. */
export const table = <Row>(rows: ReadonlyArray<Row>, columns: ReadonlyArray<Column<Row>>, paint: Paint): string => {
  const laidOut = columns.map((column, index) => {
    const cells = rows.map(column.value)
    const width = Math.max(column.title.length, ...cells.map((cell) => cell.length))
    const pad = (text: string) =>
      column.align === "right" ? text.padStart(width) : index === columns.length - 1 ? text : text.padEnd(width)
    return {
      title: paint.quiet(pad(column.title)),
      cells: cells.map(pad),
      paint: column.paint ?? ((text: string) => text)
    }
  })
  const line = (cells: ReadonlyArray<string>) => cells.join("  ")
  return [
    line(laidOut.map((column) => column.title)),
    ...rows.map((row, index) => line(laidOut.map((column) => column.paint(column.cells[index] ?? "", row))))
  ].join("\n")
}

/** `1 task`, `2 tasks`, `1,204 tasks`. */
export const counted = (count: number, noun: string): string =>
  `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`
