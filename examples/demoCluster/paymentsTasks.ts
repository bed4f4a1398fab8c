/** The service that collects payments: `duetime worker --tasks paymentsTasks.ts`. */
import { paymentService } from "../payments.ts"

export const tasks = paymentService(process.env["PAYMENTS_URL"] ?? "")
