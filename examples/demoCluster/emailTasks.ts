/** The service that sends mail: `duetime worker --tasks emailTasks.ts`. */
import { emailService } from "../email.ts"

export const tasks = emailService({ host: "127.0.0.1", port: Number(process.env["SMTP_PORT"]) })
