/** Certificates for one test, made by the machine's openssl: an authority, and what it has signed. Gone with the scope. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export interface Authority {
  /** PEM file to trust. */
  readonly caFile: string
  /** PEM files of a certificate for these names (`localhost`, `127.0.0.1`), and of its key. */
  readonly sign: (names: ReadonlyArray<string>) => { readonly certFile: string; readonly keyFile: string }
}

export const authority = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "duetime-certificates-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
  ),
  (folder): Authority => {
    const openssl = (...args: ReadonlyArray<string>) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" })
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(
      "req",
      "-x509",
      ...key,
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-days",
      "2",
      "-subj",
      "/CN=duetime test authority"
    )
    return {
      caFile: path.join(folder, "ca.pem"),
      sign: (names) => {
        const places = names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`))
        fs.writeFileSync(path.join(folder, "names"), `subjectAltName=${places.join(",")}\n`)
        openssl("req", ...key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=duetime test server")
        const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", "server.csr", "-out", "server.pem", ...signed)
        return { certFile: path.join(folder, "server.pem"), keyFile: path.join(folder, "server.key") }
      }
    }
  }
)
