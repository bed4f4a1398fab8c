/** Goal: faults of the network are what they say. Method: real sockets through a line, to a server that answers what it is sent. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { once } from "node:events"
import * as net from "node:net"
import { Line } from "../../simulations/chaos/Line.ts"

const silenceMs = 150

const echo = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = net.createServer((socket) => {
      socket.on("error", () => undefined)
      socket.pipe(socket)
    })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    return server
  }),
  (server) => Effect.sync(() => server.close())
)

const portOf = (server: net.Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

type Client = { readonly socket: net.Socket; readonly heard: () => string; readonly ended: Promise<string> }

const connect = (line: Line) =>
  Effect.acquireRelease(
    Effect.promise(async (): Promise<Client> => {
      const socket = net.connect(line.port, "127.0.0.1")
      let heard = ""
      let how = "end"
      socket.on("data", (chunk: Buffer) => (heard += chunk.toString()))
      socket.on("error", (error: NodeJS.ErrnoException) => (how = error.code ?? error.message))
      const ended = new Promise<string>((resolve) => socket.once("close", () => resolve(how)))
      await once(socket, "connect")
      return { socket, heard: () => heard, ended }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const untilHeard = ({ heard, socket }: Client, text: string) =>
  Effect.promise(async () => {
    while (!heard().includes(text)) await once(socket, "data")
  })

const onLine = <A>(use: (line: Line) => Effect.Effect<A, never, Scope.Scope>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* echo
      const line = yield* Line.open(() => ({ host: "127.0.0.1", port: portOf(server) }))
      return yield* use(line)
    })
  )

describe("a line to a server", () => {
  it.live("brings what is sent, and goodbyes of either side", () =>
    onLine(
      Effect.fnUntraced(function* (line) {
        const client = yield* connect(line)
        client.socket.write("hello")
        yield* untilHeard(client, "hello")
        client.socket.end("bye")
        assert.strictEqual(yield* Effect.promise(() => client.ended), "end")
        assert.strictEqual(client.heard(), "hellobye")
      })
    )
  )

  it.live("that is slow brings everything later, each way, in order", () =>
    onLine(
      Effect.fnUntraced(function* (line) {
        const client = yield* connect(line)
        line.slow(80)
        const sentAtMs = performance.now()
        for (const part of ["a", "b", "c"]) client.socket.write(part)
        yield* untilHeard(client, "abc")
        assert.isAtLeast(performance.now() - sentAtMs, 158)
      })
    )
  )

  it.live("that is cut resets its connections, and takes new ones", () =>
    onLine(
      Effect.fnUntraced(function* (line) {
        const client = yield* connect(line)
        client.socket.write("hello")
        yield* untilHeard(client, "hello")
        line.cut()
        assert.strictEqual(yield* Effect.promise(() => client.ended), "ECONNRESET")
        const next = yield* connect(line)
        next.socket.write("again")
        yield* untilHeard(next, "again")
      })
    )
  )

  it.live("that is half open takes connections and bytes and brings nothing, until they arrive late", () =>
    onLine(
      Effect.fnUntraced(function* (line) {
        for (const direction of ["requests", "answers", "both"] as const) {
          const client = yield* connect(line)
          line.darken(direction)
          client.socket.write("late")
          const other = yield* connect(line)
          other.socket.write("too")
          yield* Effect.sleep(silenceMs)
          assert.deepStrictEqual([client.heard(), other.heard()], ["", ""])
          line.lighten("late")
          yield* untilHeard(client, "late")
          yield* untilHeard(other, "too")
        }
      })
    )
  )

  it.live("that forgets tells neither side; new connections go through", () =>
    onLine(
      Effect.fnUntraced(function* (line) {
        const client = yield* connect(line)
        line.darken("both")
        client.socket.write("lost")
        line.lighten("never")
        const next = yield* connect(line)
        next.socket.write("new")
        yield* untilHeard(next, "new")
        client.socket.write("more")
        yield* Effect.sleep(silenceMs)
        assert.strictEqual(client.heard(), "")
        assert.isFalse(client.socket.destroyed)
      })
    )
  )

  it.live("that brings nothing makes its sender wait, and holds a bounded amount", () =>
    onLine(
      Effect.fnUntraced(function* (line) {
        const client = yield* connect(line)
        line.darken("requests")
        const chunk = Buffer.alloc(1024 * 1024)
        let sentMb = 0
        // What kernels hold for a socket of this machine is some megabytes.
        while (client.socket.write(chunk) && sentMb < 100) sentMb++
        yield* Effect.sleep(silenceMs)
        for (let more = 0; more < 100; more++) client.socket.write(chunk)
        yield* Effect.sleep(silenceMs)
        assert.isAbove(client.socket.writableLength, 80 * 1024 * 1024)
        line.lighten("late")
        yield* Effect.promise(() => once(client.socket, "drain"))
      })
    )
  )

  it.live("whose server is not there resets", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const line = yield* Line.open(() => ({ path: "/nowhere/.s.PGSQL.5432" }))
        const client = yield* connect(line)
        assert.strictEqual(yield* Effect.promise(() => client.ended), "ECONNRESET")
      })
    )
  )
})
