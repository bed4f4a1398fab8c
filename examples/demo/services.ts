/** The scheduler and the three domain services, all in this process. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { layer as memoryBroker } from "../../src/broker/MemoryBroker.ts"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { Duetime, Engine, Worker } from "../../src/index.ts"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import { CommitSql } from "../../src/worker/CommitSql.ts"
import { emailService } from "../email.ts"
import { paymentService } from "../payments.ts"
import { reportService } from "../reports.ts"
import { startChild } from "./child.ts"
import type { RunFolder } from "./runFolder.ts"

const postgres = (dataDirectory: string) =>
  Layer.unwrap(
    Effect.map(EmbeddedPostgres, ({ database, port, socketDirectory, username }) =>
      PgClient.layer({ host: socketDirectory, port, username, database })
    )
  ).pipe(Layer.provide(EmbeddedPostgres.layer({ dataDirectory })))

export const stores = ({ database }: RunFolder) =>
  Layer.mergeAll(Duetime.layer, memoryBroker).pipe(
    Layer.provideMerge(PgTaskStore.layer({ migrate: true })),
    Layer.provideMerge(Layer.effect(CommitSql, SqlClient.SqlClient)),
    Layer.provideMerge(postgres(database))
  )

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
      ).pipe(Layer.provide(Worker.layer({ concurrency: 100, drainGrace: "3 seconds" })))
    })
  )
