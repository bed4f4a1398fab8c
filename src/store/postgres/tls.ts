import { Data, Effect } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { readFileSync } from "node:fs"
import type { ConnectionOptions } from "node:tls"
import { textOf } from "./sqlErrors.ts"

/**
 * TLS as libpq's addresses ask for it: `?sslmode=verify-full&sslrootcert=/etc/ca.pem`, and `sslcert` and `sslkey` where the server
 * wants a certificate of ours. The driver knows the modes and not the files, and would leave them out in silence. Unlike libpq, it
 * verifies the certificate and its name under `require`, too.
 */
export class TlsRefused extends Data.TaggedError("TlsRefused")<{
  /** Goes on after the name of the variable. */
  readonly problem: string
  readonly wayOut: string
}> {}

const modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
const demanding = new Set(["require", "verify-ca", "verify-full"])
const files = [
  ["sslrootcert", "ca"],
  ["sslcert", "cert"],
  ["sslkey", "key"]
] as const

/** What the driver is to be given beside the address; undefined: the address says it all. */
export const tlsOf = Effect.fnUntraced(function* (address: string) {
  const { searchParams } = new URL(address)
  const mode = searchParams.get("sslmode")
  if (mode !== null && !modes.includes(mode)) {
    return yield* new TlsRefused({
      problem: `has sslmode=${mode.slice(0, 40)}, which is none`,
      wayOut: `It is one of ${modes.join(", ")}`
    })
  }
  const isDemanded = mode !== null && demanding.has(mode)
  const options: ConnectionOptions = {}
  for (const [parameter, option] of files) {
    const file = searchParams.get(parameter)
    if (file === null) continue
    if (!isDemanded) {
      return yield* new TlsRefused({
        problem: `names ${parameter} and does not ask for TLS`,
        wayOut: "Say sslmode=verify-full, too"
      })
    }
    // libpq's word for the authorities of the system, which Node takes by itself.
    if (file !== "system") options[option] = yield* read(parameter, file)
  }
  if (!isDemanded) return undefined
  return mode === "verify-ca" ? { ...options, checkServerIdentity: anyName } : options
})

const read = (parameter: string, file: string) =>
  Effect.try({
    try: () => readFileSync(file, "utf8"),
    catch: (cause) =>
      new TlsRefused({
        problem: `names a file for ${parameter} that cannot be read: ${cause instanceof Error ? cause.message : file}`,
        wayOut: "Give the path of a PEM file that this account may read"
      })
  })

const anyName = () => undefined

/** Null: it is about something else. */
export const tlsRefusal = (error: SqlError): TlsRefused | null => {
  const cause: unknown = error.reason.cause
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  const text = textOf(error).replace(/^ConnectionError: /, "")
  const found = wayOuts.find(([pattern]) => pattern.test(code) || pattern.test(text))
  if (found === undefined) return null
  const [, wayOut] = found
  return new TlsRefused({
    problem: `leads to a server that is not trusted: ${text}${code === "" ? "" : ` (${code})`}`,
    wayOut
  })
}

const wayOuts: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /ERR_TLS_CERT_ALTNAME_INVALID/,
    "Name the host as its certificate does, or check its authority alone with sslmode=verify-ca"
  ],
  [/CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/, "Renew the server's certificate, or set this machine's clock"],
  [
    /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_(UNTRUSTED|SIGNATURE_FAILURE)/,
    "Name the PEM file of the authority that signed it: ?sslmode=verify-full&sslrootcert=/path/of/ca.pem"
  ],
  [/does not support TLS/, "Turn TLS on there (ssl = on), or say sslmode=disable if nobody can listen in between"],
  [/^ERR_(TLS|SSL|OSSL)/, "Check the files that sslrootcert, sslcert and sslkey name"]
]

/** What can be handed to a thread: no functions. */
export type ClonedTls = {
  readonly options: Pick<
    ConnectionOptions,
    "ca" | "cert" | "key" | "passphrase" | "servername" | "rejectUnauthorized" | "minVersion" | "ciphers"
  >
  readonly isAnyName: boolean
}

/** A name's check that the application brings is not taken along: the thread then makes the usual one. */
export const cloneOf = (tls: ConnectionOptions): ClonedTls => {
  const { ca, cert, ciphers, key, minVersion, passphrase, rejectUnauthorized, servername } = tls
  const given = { ca, cert, ciphers, key, minVersion, passphrase, rejectUnauthorized, servername }
  return {
    options: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    isAnyName: tls.checkServerIdentity === anyName
  }
}

export const ofClone = ({ isAnyName, options }: ClonedTls): ConnectionOptions =>
  isAnyName ? { ...options, checkServerIdentity: anyName } : options
