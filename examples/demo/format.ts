import { styleText } from "node:util"

const grouped = new Intl.NumberFormat("en-US")

export const count = (value: number): string => grouped.format(value)

/** Three figures, and the unit that suits them. */
export const milliseconds = (ms: number): string => {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(ms >= 10_000 || ms % 1_000 === 0 ? 0 : 1)} s`
  return ms >= 10 || Number.isInteger(ms) ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`
}

/** Minutes and seconds. */
export const clockTime = (ms: number): string => {
  const seconds = Math.floor(ms / 1_000)
  return `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`
}

/** Styles for one stream: none where it is no terminal, or NO_COLOR is set. */
export const colouredFor =
  (stream: NodeJS.WriteStream) =>
  (style: "bold" | "dim" | "green" | "yellow" | "red") =>
  (text: string): string =>
    text === "" ? "" : styleText(style, text, { stream })
