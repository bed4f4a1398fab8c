import { mixed } from "./mixed.ts"
import type { AttemptError } from "./TaskEvent.ts"

/**
 * Which dead letters have died of the same thing: of one kind, with an error of the same name and the same message but for
 * what differs each time, thrown in the same place. In a message these become signs, in this order:
 *
 * ```
 * <text>     what stands between two equal quotation marks
 * <url>      an address with a scheme
 * <address>  of mail, of a host with its port, of IPv4 and IPv6
 * <id>       a UUID, eight or more hexadecimal digits, 0x..., and a word of eight or more with two digits: cus_9s8dFa2k
 * <n>        a number, also in a date: 1,204.50 or 2027-01-31T09:00:00Z
 * ```
 *
 * Of the stack only the first frame of one's own code is looked at: its function and file, without line (each release has
 * another one) and without the folders before the last (each machine has others). Pure, so that any process groups alike. Stored
 * with the letter: a change of these rules needs a migration that forgets what was stored.
 */
export type Fingerprint = {
  /** Twelve hexadecimal digits: the name of the group. */
  readonly group: string
  /** `CardDeclined: card <id> was declined (charge at src/cards.ts)`. */
  readonly cause: string
}

/** Characters of the message that are looked at: what comes behind is detail, and reading more costs more. */
export const messageLengthMax = 500
/** Frames of a stack that are looked at for one of one's own. */
export const framesMax = 50

export const fingerprintOf = (kind: string, error: AttemptError): Fingerprint => {
  const message = normalMessage(error.message)
  const frame = ownFrame(error.stack)
  return {
    group: hashOf([kind, error.name, message, frame ?? ""]),
    cause: `${error.name}: ${message}${frame === null ? "" : ` (${frame})`}`
  }
}

export const normalMessage = (message: string): string => {
  let normal = message.slice(0, messageLengthMax)
  for (const [pattern, sign] of signs) normal = normal.replace(pattern, sign)
  return normal.replace(/\s+/g, " ").trim()
}

/** Not behind a letter, digit or a sign of ours: an apostrophe is no quotation mark, and "sha256" is a word. */
const signs: ReadonlyArray<readonly [RegExp, string]> = [
  [/(?<![\p{L}\p{N}])(["'`])(?:(?!\1).)*\1(?![\p{L}\p{N}])/gsu, "<text>"],
  [/“[^”]*”|„[^“”]*[“”]|«[^»]*»/gu, "<text>"],
  [/\b[a-z][a-z0-9+.-]*:\/\/[^\s<>"'`)\]}]+/giu, "<url>"],
  [/[\w.+-]+@[\w-]+(?:\.[\w-]+)+/gu, "<address>"],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/giu, "<id>"],
  [/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b/gu, "<address>"],
  [/(?<![\w:])\[?(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7})[0-9a-f:]{2,45}\]?(?::\d{1,5})?(?!\w)/giu, "<address>"],
  [/\b(?=[a-z0-9.-]*[a-z])[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*:\d{2,5}\b(?!:)/giu, "<address>"],
  [/\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?/gu, "<n>"],
  [/\b0x[0-9a-f]+\b/giu, "<id>"],
  [/\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{8,}\b/giu, "<id>"],
  [/\b(?=\w*[a-z])(?=(?:\w*?\d){2})\w{8,}\b/giu, "<id>"],
  [/(?<![\p{L}\p{N}_])[-+]?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?/giu, "<n>"]
]

const ownFrame = (stack: string | undefined): string | null => {
  if (stack === undefined) return null
  for (const line of stack.split("\n", framesMax)) {
    const [, name, place] =
      /^\s*at (?:async )?(?:(.+?) \()?((?:file:\/\/|\/|[A-Za-z]:\\).+?):\d+:\d+\)?$/.exec(line) ?? []
    if (place === undefined || /[\\/]node_modules[\\/]/.test(place)) continue
    const file = place
      .replace(/[?#].*$/, "")
      .split(/[\\/]/)
      .slice(-2)
      .join("/")
    return name === undefined || name === "<anonymous>" ? `at ${file}` : `${name} at ${file}`
  }
  return null
}

/** FNV-1a over UTF-16 units, 64 bits, mixed; its first 48 bits. Two of a thousand groups meet once in half a billion times. */
const hashOf = (parts: ReadonlyArray<string>): string => {
  let hash = 0xcbf29ce484222325n
  const text = parts.join("\u0000")
  for (let place = 0; place < text.length; place++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(place))) * 0x100000001b3n)
  }
  return (mixed(hash) >> 16n).toString(16).padStart(12, "0")
}

export const isGroup = (text: string): boolean => /^[0-9a-f]{12}$/.test(text)
