/**
 * What a supervisor of processes asks over HTTP, as Kubernetes does:
 *
 *   GET /healthz   200 as long as the event loop turns
 *   GET /readyz    200 if work may be sent here, else 503; the body names the check that fails
 *   GET /metrics   what this process counts and measures, in Prometheus' text format
 */
import { Effect, type Scope } from "effect"
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http"
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
  report: () => HealthReport,
  metricsPage: Effect.Effect<string>
): Effect.Effect<number, ConfigInvalid, Scope.Scope> =>
  Effect.gen(function* () {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const server = yield* Effect.acquireRelease(
      listening({ host, port }, (request, response) => {
        const path = pathOf(request, response)
        if (path === "/metrics") fork(Effect.map(metricsPage, (page) => send(response, 200, metricsType, page)))
        else if (path !== null) answer(path, response, report)
      }),
      closed
    )
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : port
  })

const listening = ({ host, port }: HealthAddress, listener: RequestListener) =>
  Effect.callback<Server, ConfigInvalid>((resume) => {
    const server = createServer({ requestTimeout: requestTimeoutMs }, listener)
    server.maxConnections = connectionsMax
    server.once("error", (error) => resume(Effect.fail(notServed(host, port, error))))
    server.listen(port, host, () => resume(Effect.succeed(server)))
  })

const closed = (server: Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/** Null: it is none of ours, and has been told so. */
const pathOf = (request: IncomingMessage, response: ServerResponse): Path | null => {
  const asked = request.url?.split("?")[0]
  if (request.method !== "GET" && request.method !== "HEAD") {
    reply(response, 405, { error: "GET only" })
    return null
  }
  const path = paths.find((known) => known === asked)
  if (path === undefined) reply(response, 404, { error: `GET ${paths.join(", ")}` })
  return path ?? null
}

const paths = ["/healthz", "/readyz", "/metrics"] as const
type Path = (typeof paths)[number]

const answer = (path: Path, response: ServerResponse, report: () => HealthReport): void => {
  const found = report()
  if (path === "/healthz") return reply(response, 200, { status: "alive", role: found.role, uptimeMs: found.uptimeMs })
  reply(response, found.status === "unready" ? 503 : 200, found)
}

const reply = (response: ServerResponse, status: number, body: object): void =>
  send(response, status, "application/json", `${JSON.stringify(body)}\n`)

const metricsType = "text/plain; version=0.0.4; charset=utf-8"

const send = (response: ServerResponse, status: number, contentType: string, body: string): void => {
  response.writeHead(status, { "content-type": contentType, "cache-control": "no-store" }).end(body)
}

const notServed = (host: string, port: number, error: Error) =>
  new ConfigInvalid({
    name: "the health port",
    problem: `${host}:${port} cannot be served: ${error.message}`,
    wayOut: "Give another --health-port or --health-host, or port 0 for any free one"
  })
