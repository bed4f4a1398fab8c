/**
 * Loaded before a process with `node --import`: its session's thread is hit when it has sent a renewal of the lease and before it has
 * read the answer. That thread has no port that could be wrapped, so its socket is: nobody else writes to one there.
 */
import * as fs from "node:fs"
import { Socket } from "node:net"
import { isMainThread } from "node:worker_threads"
import { crash, type Hit } from "./Trigger.ts"

const point = process.env["POINTS_RENEWAL_POINT"] ?? ""
const hitsFile = process.env["POINTS_HITS_FILE"] ?? ""
const skip = Number(process.env["POINTS_RENEWALS_SKIPPED"] ?? 0)

if (!isMainThread) {
  let renewals = 0
  Socket.prototype.write = new Proxy(Socket.prototype.write, {
    apply: (write, socket, sent: Parameters<Socket["write"]>) => {
      const written = Reflect.apply(write, socket, sent)
      // The statement's text travels once; afterwards only its name does.
      if (renewals > 0 || Buffer.from(sent[0]).includes("SET lease_until")) renewals++
      if (renewals <= skip) return written
      const hit: Hit = { point, processId: process.pid, held: [] }
      fs.appendFileSync(hitsFile, `${JSON.stringify(hit)}\n`)
      return crash()
    }
  })
}
