/** Ids as they travel: 16 bytes, written and read through their 32 hexadecimal digits. */

export const hexOf = (uuid: string): string => uuid.replaceAll("-", "")

/** The id whose digits begin at `at`. */
export const uuidAt = (hex: string, at: number): string =>
  `${hex.slice(at, at + 8)}-${hex.slice(at + 8, at + 12)}-${hex.slice(at + 12, at + 16)}-${hex.slice(at + 16, at + 20)}-${hex.slice(at + 20, at + 32)}`
