/**
 * What a supervisor of processes asks over HTTP, as Kubernetes does:
 *
 *   GET /healthz   200 as long as the event loop turns
 *   GET /readyz    200 if work may be sent here, else 503; the body names the check that fails
 */
import { Effect, type Scope } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { ConfigInvalid } from "../DuetimeError.ts"

export type HealthReport = {
  /** `degraded`: ready, though something that can be done without is away. */
  readonly status: "ready" | "degraded" | "unready"
  readonly role: string
  /** Null until there is one. */
  readonly sessionId: number | null
  readonly uptimeMs: number
  readonly checks: ReadonlyArray<HealthCheck>
  /** How the broker is seen from here; null where dispatch stays in the process. */
  readonly broker: object | null
  /** What the engine and the worker of this process hold and have done since they began; null without one. */
  readonly engine: object | null
  readonly worker: object | null
}

export type HealthCheck = { readonly name: string; readonly ok: boolean; readonly detail: string }

export type HealthAddress = {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
}

/** More at the same time are turned away: probes come one by one. */
const connectionsMax = 32
/** A probe says in a moment what it wants. */
const requestTimeoutMs = 5_000

/** Serves until the scope closes; gives the port. */
export const serveHealth = (
  { host, port }: HealthAddress,
  report: () => HealthReport
): Effect.Effect<number, ConfigInvalid, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>, ConfigInvalid>((resume) => {
      const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) =>
        answer(request, response, report)
      )
      server.maxConnections = connectionsMax
      server.once("error", (error) => resume(Effect.fail(notServed(host, port, error))))
      server.listen(port, host, () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : port
    })
  )

const answer = (request: IncomingMessage, response: ServerResponse, report: () => HealthReport): void => {
  const path = request.url?.split("?")[0]
  if (request.method !== "GET" && request.method !== "HEAD") return reply(response, 405, { error: "GET only" })
  if (path !== "/healthz" && path !== "/readyz") return reply(response, 404, { error: "GET /healthz or /readyz" })
  const found = report()
  if (path === "/healthz") return reply(response, 200, { status: "alive", role: found.role, uptimeMs: found.uptimeMs })
  reply(response, found.status === "unready" ? 503 : 200, found)
}

const reply = (response: ServerResponse, status: number, body: object): void => {
  const headers = { "content-type": "application/json", "cache-control": "no-store" }
  response.writeHead(status, headers).end(`${JSON.stringify(body)}\n`)
}

const notServed = (host: string, port: number, error: Error) =>
  new ConfigInvalid({
    name: "the health port",
    problem: `${host}:${port} cannot be served: ${error.message}`,
    wayOut: "Give another --health-port or --health-host, or port 0 for any free one"
  })
