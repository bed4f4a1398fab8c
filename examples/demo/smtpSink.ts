/**
 * The mail server of the demo: takes every message over real SMTP and keeps it in a ledger before it says 250.
 * It refuses nothing and compares nothing, so a message that was sent twice is there twice.
 *
 *   node smtpSink.ts emails.jsonl
 */
import { SMTPServer } from "smtp-server"
import { serveParent } from "./child.ts"
import { openLedger } from "./ledger.ts"

export type EmailEntry = { readonly messageId: string; readonly to: string; readonly subject: string }

/** Bytes of a message that are read; the headers come first. */
const messageBytesMax = 1_048_576

const main = (file: string) => {
  const ledger = openLedger<EmailEntry>(file)
  const smtp = new SMTPServer({
    name: "localhost",
    banner: "duetime demo",
    disabledCommands: ["AUTH", "STARTTLS"],
    size: messageBytesMax,
    onData: (stream, _session, answer) => {
      const chunks: Array<Buffer> = []
      stream.on("data", (chunk: Buffer) => chunks.push(chunk))
      stream.on("end", () => {
        ledger.append(entryOf(Buffer.concat(chunks).toString("utf8"))).then(() => answer(), answer)
      })
    }
  })
  serveParent(smtp.server)
}

const entryOf = (message: string): EmailEntry => {
  const end = message.indexOf("\r\n\r\n")
  // A long header goes on in lines that begin with a blank.
  const headers = message.slice(0, end === -1 ? undefined : end).replaceAll(/\r\n[ \t]+/g, " ")
  const header = (name: string) => new RegExp(`^${name}:[ \t]*(.*)$`, "im").exec(headers)?.[1]?.trim() ?? ""
  return { messageId: header("Message-ID").replaceAll(/[<>]/g, ""), to: header("To"), subject: header("Subject") }
}

const [file] = process.argv.slice(2)
if (import.meta.main && file !== undefined) main(file)
