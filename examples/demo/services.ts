/** The scheduler and the three domain services, all in this process. */
import { Effect, Layer } from "effect"
import { Engine, Worker } from "../../src/index.ts"
import { layerDev } from "../../src/layers.ts"
import { emailService } from "../email.ts"
import { paymentService } from "../payments.ts"
import { reportService } from "../reports.ts"
import { startChild } from "./child.ts"
import type { RunFolder } from "./runFolder.ts"

/** PostgreSQL in the run's folder, and the store on it. */
export const ground = ({ database }: RunFolder) => layerDev({ dataDirectory: database })

export const services = ({ charges, emails, plan }: RunFolder) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const smtpPort = yield* startChild("smtpSink.ts", [emails])
      const paymentsPort = yield* startChild("paymentsApi.ts", [charges, String(plan.seed)])
      return Layer.mergeAll(
        emailService({ host: "127.0.0.1", port: smtpPort }),
        paymentService(`http://127.0.0.1:${paymentsPort}`),
        reportService,
        Engine.layer
      ).pipe(Layer.provide(Worker.layer({ concurrency: 300, drainGrace: "3 seconds" })))
    })
  )
