/**
 * A TCP proxy before one server, for one client process: what goes through it can be slowed down, cut off, or swallowed. It keeps
 * bytes in order, and holds at most `waitingBytesMax` of each direction: then the sender has to wait, as on any full pipe.
 */
import { Effect, type Scope } from "effect"
import { once } from "node:events"
import * as net from "node:net"

/** As the client sees it. */
export type Direction = "requests" | "answers" | "both"
/** What becomes of old connections when a half-open line is whole again: the bytes arrive late, or never, and nobody is told before keepalive finds out. */
export type Afterwards = "late" | "never"

/** Of one direction of one connection. Kernels hold some more. */
const waitingBytesMax = 256 * 1024
/**
 * Until both sides hear that the network has forgotten their connection: what keepalive takes to find out, five seconds and ten
 * questions (src/store/postgres/keepAlive.ts). Here the kernels cannot, since it is the proxy's that answers them.
 */
const forgottenMs = 15_000

type Held = { readonly dueAtMs: number; readonly what: Buffer | "end" | "reset" }

export class Line {
  readonly #connections = new Set<Connection>()
  readonly #server: net.Server
  /** Where the server listens; it may be elsewhere after each start. */
  readonly #upstream: () => net.NetConnectOpts
  #delayMs = 0
  #dark: Direction | null = null

  constructor(upstream: () => net.NetConnectOpts) {
    this.#upstream = upstream
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const server = net.connect({ ...this.#upstream(), allowHalfOpen: true })
      server.setNoDelay(true)
      const connection = new Connection(client, server, this)
      this.#connections.add(connection)
      connection.onClosed = () => this.#connections.delete(connection)
    })
  }

  /** Opens it on a free port of 127.0.0.1 until the scope closes. */
  static readonly open = (upstream: () => net.NetConnectOpts): Effect.Effect<Line, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const line = new Line(upstream)
        line.#server.listen(0, "127.0.0.1")
        await once(line.#server, "listening")
        return line
      }),
      (line) =>
        Effect.sync(() => {
          line.#server.close()
          line.cut()
        })
    )

  get port(): number {
    const address = this.#server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }

  get delayMs(): number {
    return this.#delayMs
  }

  isDark(direction: Direction): boolean {
    return this.#dark === direction || this.#dark === "both"
  }

  /** What arrives from now on goes on so much later, each way. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs
  }

  /** Connections stay, and are taken, and nothing goes on that way: no byte, no goodbye. */
  darken(direction: Direction): void {
    this.#dark = direction
  }

  lighten(afterwards: Afterwards): void {
    this.#dark = null
    for (const connection of this.#connections) {
      if (afterwards === "never") connection.forget()
      else connection.pump()
    }
  }

  /** RST to both sides of every connection. */
  cut(): void {
    for (const connection of this.#connections) connection.reset()
  }
}

class Connection {
  readonly #client: net.Socket
  readonly #server: net.Socket
  readonly #requests: Flow
  readonly #answers: Flow
  #isForgotten = false
  #timer: NodeJS.Timeout | undefined
  onClosed = () => {}

  constructor(client: net.Socket, server: net.Socket, line: Line) {
    this.#client = client
    this.#server = server
    const isStopped = (direction: Direction) => this.#isForgotten || line.isDark(direction)
    const flow = { delayMs: () => line.delayMs }
    // A server on a unix socket cannot be sent a reset; it hears that nobody is there any more.
    this.#requests = new Flow(client, server, {
      ...flow,
      isStopped: () => isStopped("requests"),
      reset: () => server.destroy()
    })
    this.#answers = new Flow(server, client, {
      ...flow,
      isStopped: () => isStopped("answers"),
      reset: () => client.resetAndDestroy()
    })
    for (const socket of [client, server]) {
      socket.on("close", () => {
        if (!client.destroyed || !server.destroyed) return
        clearTimeout(this.#timer)
        this.onClosed()
      })
    }
  }

  pump(): void {
    this.#requests.pump()
    this.#answers.pump()
  }

  forget(): void {
    if (this.#isForgotten) return
    this.#isForgotten = true
    this.#timer = setTimeout(() => this.reset(), forgottenMs)
    this.#timer.unref()
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#server.destroy()
  }
}

type FlowRules = {
  readonly delayMs: () => number
  readonly isStopped: () => boolean
  /** Ends the receiving side at once. */
  readonly reset: () => void
}

/** One direction of one connection. */
class Flow {
  readonly #from: net.Socket
  readonly #to: net.Socket
  readonly #line: FlowRules
  readonly #held: Array<Held> = []
  #heldBytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(from: net.Socket, to: net.Socket, line: FlowRules) {
    this.#from = from
    this.#to = to
    this.#line = line
    from.on("data", (chunk: Buffer) => {
      this.#heldBytes += chunk.length
      if (this.#heldBytes > waitingBytesMax) from.pause()
      this.#hold(chunk)
    })
    from.on("end", () => this.#hold("end"))
    // Its "close" follows.
    from.on("error", () => undefined)
    from.on("close", () => this.#hold("reset"))
    to.on("drain", () => this.pump())
    to.on("close", () => clearTimeout(this.#timer))
  }

  pump(): void {
    clearTimeout(this.#timer)
    while (!this.#line.isStopped() && !this.#to.destroyed) {
      const [next] = this.#held
      if (next === undefined) break
      const waitMs = next.dueAtMs - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs)
        break
      }
      // Until it drains.
      if (next.what !== "reset" && this.#to.writableNeedDrain) break
      this.#held.shift()
      this.#pass(next.what)
    }
  }

  #pass(what: Held["what"]): void {
    if (what === "end") {
      this.#to.end()
    } else if (what === "reset") {
      // After a goodbye of both the receiver may still be reading the last of it.
      if (this.#to.writableEnded) this.#to.destroySoon()
      else this.#line.reset()
    } else {
      this.#heldBytes -= what.length
      this.#to.write(what)
      if (this.#heldBytes <= waitingBytesMax && this.#from.isPaused()) this.#from.resume()
    }
  }

  #hold(what: Held["what"]): void {
    this.#held.push({ dueAtMs: performance.now() + this.#line.delayMs(), what })
    this.pump()
  }
}
