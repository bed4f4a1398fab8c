import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { wholeNumber } from "./parameters.ts"
import type { RoleOptions } from "./role/role.ts"

/** Flags of the commands that run until they are stopped. */
export const healthFlags = {
  healthPort: wholeNumber("health-port", 0, 65_535).pipe(
    Flag.withDescription("Serve /healthz, /readyz and /metrics here; 0 takes any free port and logs it; default none"),
    Flag.withMetavar("port"),
    Flag.optional
  ),
  healthHost: Flag.String("health-host").pipe(
    Flag.withDescription("Address of the health port; default 127.0.0.1, for Kubernetes 0.0.0.0"),
    Flag.withMetavar("host"),
    Flag.optional
  )
}

export const workerFlags = {
  tasks: Flag.String("tasks").pipe(
    Flag.withDescription("Module that exports tasks: a layer of handlers, or an array of them"),
    Flag.withMetavar("module")
  ),
  concurrency: wholeNumber("concurrency", 1, 100_000).pipe(
    Flag.withDescription("Attempts at the same time, 1 to 100,000; default 50"),
    Flag.withMetavar("count"),
    Flag.optional
  )
}

type Flags = Pick<RoleOptions, "healthHost" | "healthPort"> & {
  readonly tasks?: string
  readonly concurrency?: Option.Option<number>
}

/** Engine, worker and driver are half of a program's start-up time, and `--help` does not need them. */
export const running =
  (role: RoleOptions["role"]) =>
  ({ concurrency = Option.none(), healthHost, healthPort, tasks }: Flags) =>
    Effect.flatMap(
      Effect.promise(() => import("./role/role.ts")),
      ({ runRole }) => runRole({ role, tasks, concurrency: Option.getOrUndefined(concurrency), healthHost, healthPort })
    )
