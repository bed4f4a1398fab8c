/** The world outside the database: a server that records every call it gets, and never forgets or refuses one. */
import { Effect } from "effect"
import { once } from "node:events"
import { createServer } from "node:http"

export type OutsideCall = { readonly attempt: number; readonly fence: number }

export type Outside = {
  readonly url: string
  /** By idempotency key, in the order of their arrival. */
  readonly calls: ReadonlyMap<string, ReadonlyArray<OutsideCall>>
}

/** Both sides' word for a call. */
export const callUrl = (url: string, call: { idempotencyKey: string; number: number; fence: number }): string =>
  `${url}/?${new URLSearchParams({ key: call.idempotencyKey, attempt: String(call.number), fence: String(call.fence) })}`

export const openOutside = Effect.gen(function* () {
  const calls = new Map<string, Array<OutsideCall>>()
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((request, response) => {
        const { searchParams } = new URL(request.url ?? "/", "http://outside")
        const key = searchParams.get("key") ?? ""
        const call = { attempt: Number(searchParams.get("attempt")), fence: Number(searchParams.get("fence")) }
        const known = calls.get(key)
        // A question, and no call: a reconciler's.
        if (request.method === "GET") {
          const hasArrived =
            known?.some(({ attempt, fence }) => attempt === call.attempt && fence === call.fence) === true
          response.writeHead(hasArrived ? 200 : 404).end()
          return
        }
        if (known === undefined) calls.set(key, [call])
        else known.push(call)
        response.writeHead(204).end()
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}`, calls } satisfies Outside
})
