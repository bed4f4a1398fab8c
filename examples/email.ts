import { Effect, Layer, Schema } from "effect"
import { createTransport } from "nodemailer"
import { RetryPolicy, Task } from "../src/index.ts"

/** Marketing may wait: everything else that is due goes first. */
export const SendEmail = Task.define("send-email", {
  payload: { to: Schema.String, subject: Schema.String, text: Schema.String },
  queue: "email",
  priority: "low",
  timeout: "30 seconds",
  retry: RetryPolicy.exponential({ base: "1 second", cap: "10 minutes", attemptsMax: 8 })
})

/**
 * Sends over SMTP. The Message-ID is the same in every attempt, so a message that went out just before a crash and
 * goes out again is one message to whoever looks: mail servers and clients drop the second.
 */
export const emailService = (smtp: { readonly host: string; readonly port: number }) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const mailer = yield* Effect.acquireRelease(
        Effect.sync(() => createTransport({ ...smtp, pool: true, maxConnections: 20, socketTimeout: 20_000 })),
        (mailer) => Effect.sync(() => mailer.close())
      )
      return SendEmail.handleAsync(async (email, { idempotencyKey }) => {
        const message = { from: "shop@example.com", ...email, messageId: `<${idempotencyKey}@example.com>` }
        try {
          await mailer.sendMail(message)
        } catch (error) {
          // 4xx is "try again later"; 5xx, as an unknown mailbox, is for good.
          throw responseCodeOf(error) >= 500 ? Task.fatal(error) : error
        }
      })
    })
  )

const responseCodeOf = (error: unknown): number =>
  error instanceof Error && "responseCode" in error ? Number(error.responseCode) : 0
