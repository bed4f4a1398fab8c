const units = ["B", "KiB", "MiB", "GiB", "TiB"]

/** `0 B`, `96 KiB`, `1.4 GiB`. */
export const bytes = (count: number): string => {
  let value = count
  let unit = 0
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024
    unit++
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${units[unit]}`
}
