import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type HealthReport, serveHealth } from "../../src/api/HealthServer.ts"
import { type Parts, reportOf } from "../../src/cli/role/health.ts"

const get = (port: number, path: string, method = "GET") =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  })

const local = { host: "127.0.0.1", port: 0 }
const noMetrics = Effect.succeed("")

describe("the health port", () => {
  const reportAs = (status: HealthReport["status"]) => (): HealthReport => ({
    status,
    role: "worker",
    sessionId: 7,
    uptimeMs: 1_234,
    checks: [{ name: "lease", ok: status !== "unready", detail: "d" }],
    broker: null,
    engine: null,
    worker: null
  })

  it.live("answers 200 to /healthz whatever the checks say, and 503 to /readyz with the check that fails", () =>
    Effect.gen(function* () {
      let status: HealthReport["status"] = "unready"
      const port = yield* serveHealth(local, () => reportAs(status)(), noMetrics)
      assert.deepInclude(yield* get(port, "/healthz"), { status: 200 })
      const unready = yield* get(port, "/readyz")
      assert.strictEqual(unready.status, 503)
      assert.deepInclude(unready.body, { status: "unready", role: "worker", sessionId: 7, uptimeMs: 1_234 })
      assert.deepStrictEqual(unready.body["checks"], [{ name: "lease", ok: false, detail: "d" }])
      for (const ready of ["ready", "degraded"] as const) {
        status = ready
        assert.deepInclude(yield* get(port, "/readyz?verbose"), { status: 200 })
      }
    })
  )

  it.live("answers /metrics in Prometheus' text format, made when it is asked for", () =>
    Effect.gen(function* () {
      let count = 0
      const page = Effect.sync(() => `# TYPE asked counter\nasked ${++count}\n`)
      const port = yield* serveHealth(local, reportAs("unready"), page)
      for (const asked of [1, 2]) {
        const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/metrics`))
        assert.strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        assert.strictEqual(yield* Effect.promise(() => response.text()), `# TYPE asked counter\nasked ${asked}\n`)
      }
    })
  )

  it.live("knows nothing else", () =>
    Effect.gen(function* () {
      const port = yield* serveHealth(local, reportAs("ready"), noMetrics)
      assert.strictEqual((yield* get(port, "/")).status, 404)
      assert.strictEqual((yield* get(port, "/readyz", "POST")).status, 405)
    })
  )

  it.live("says which address it cannot have, and frees its own with the scope", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(
        Effect.gen(function* () {
          const port = yield* serveHealth(local, reportAs("ready"), noMetrics)
          const error = yield* Effect.flip(serveHealth({ ...local, port }, reportAs("ready"), noMetrics))
          assert.match(
            error.message,
            new RegExp(`^ConfigInvalid: the health port 127\\.0\\.0\\.1:${port} .*EADDRINUSE`)
          )
          return port
        })
      )
      assert.strictEqual(yield* serveHealth({ ...local, port }, reportAs("ready"), noMetrics), port)
    })
  )
})

describe("readiness", () => {
  const session = { id: () => 7, isAlive: () => true }
  const worker = { status: () => ({ isAnnounced: true }) }
  const kafka = { status: () => ({ connected: true }) }
  type Fake = { session?: object; worker?: object; kafka?: object; isStarted?: boolean; isDraining?: boolean }
  const of = (parts: Fake) => reportOf({ isStarted: true, isDraining: false, ...parts } as unknown as Parts)
  const failing = (parts: Fake) => of(parts).checks.flatMap(({ name, ok }) => (ok ? [] : [name]))

  it("needs all parts, a lease that lasts, an announced worker, and no drain", () => {
    assert.strictEqual(of({ session, worker, kafka }).status, "ready")
    assert.deepStrictEqual(failing({ isStarted: false }), ["started"])
    assert.deepStrictEqual(failing({ session: { ...session, isAlive: () => false }, worker }), ["lease"])
    assert.deepStrictEqual(failing({ session, worker: { status: () => ({ isAnnounced: false }) } }), ["announced"])
    assert.deepStrictEqual(failing({ session, isDraining: true }), ["draining"])
    assert.strictEqual(of({ session, isDraining: true }).status, "unready")
  })

  it("survives a broker that is away, and shows it", () => {
    const report = of({ session, worker, kafka: { status: () => ({ connected: false }) } })
    assert.deepInclude(report, { status: "degraded", sessionId: 7 })
    assert.deepStrictEqual(report.broker, { connected: false })
  })
})
