/**
 * Between one store and its PostgreSQL: reads the wire protocol (version 3) far enough to know where a request ends, holds each request
 * until it is released, and knows which have not been answered yet. So every statement of the store, its BEGIN and COMMIT as well, is
 * a step that somebody else decides about, and the store knows nothing of it.
 */
import { Effect, type Scope } from "effect"
import { once } from "node:events"
import * as net from "node:net"

/** What a client sends up to the point where it waits for an answer. */
export type Request = { readonly sql: string; readonly release: () => void }

export class Gate {
  /** Told of each request that is held. */
  onHeld: (request: Request) => void = () => {}
  /** Told when an answer is complete. */
  onAnswered: () => void = () => {}
  #isHolding = false
  readonly #lines = new Set<Line>()
  readonly #server: net.Server

  private constructor(socketFile: string) {
    this.#server = net.createServer({ noDelay: true }, (client) => {
      const line: Line = new Line(client, net.connect(socketFile), {
        isHolding: () => this.#isHolding,
        held: (request) => this.onHeld(request),
        answered: () => this.onAnswered(),
        closed: () => this.#lines.delete(line)
      })
      this.#lines.add(line)
    })
  }

  /** On a free port of 127.0.0.1 until the scope closes. */
  static readonly open = (socketFile: string): Effect.Effect<Gate, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const gate = new Gate(socketFile)
        gate.#server.listen(0, "127.0.0.1")
        await once(gate.#server, "listening")
        return gate
      }),
      (gate) =>
        Effect.sync(() => {
          gate.#server.close()
          for (const line of gate.#lines) line.close()
        })
    )

  get port(): number {
    const address = this.#server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }

  /** From now on nothing goes on that is not released. */
  hold(): void {
    this.#isHolding = true
  }

  /** What is held goes on, and nothing is held any more. */
  open(): void {
    this.#isHolding = false
    for (const line of this.#lines) line.release()
  }

  /** Backends that work on a request. */
  get busy(): ReadonlyArray<number> {
    return Array.from(this.#lines).flatMap((line) => (line.isBusy ? [line.backend] : []))
  }
}

type LineRules = {
  readonly isHolding: () => boolean
  readonly held: (request: Request) => void
  readonly answered: () => void
  readonly closed: () => void
}

/** One connection. */
class Line {
  backend = 0
  isBusy = false
  readonly #client: net.Socket
  readonly #server: net.Socket
  readonly #rules: LineRules
  readonly #held: Array<Buffer> = []
  readonly #statements = new Map<string, string>()
  #fromClient: Buffer = Buffer.alloc(0)
  #fromServer: Buffer = Buffer.alloc(0)
  /** Before the server is ready for the first time, the client's messages have another form. */
  #isReady = false

  constructor(client: net.Socket, server: net.Socket, rules: LineRules) {
    this.#client = client
    this.#server = server
    this.#rules = rules
    client.on("data", (bytes: Buffer) => this.#hear(bytes))
    server.on("data", (bytes: Buffer) => this.#answer(bytes))
    for (const [from, to] of [
      [client, server],
      [server, client]
    ] as const) {
      // Its "close" follows.
      from.on("error", () => undefined)
      from.on("close", () => {
        to.destroy()
        rules.closed()
      })
    }
  }

  close(): void {
    this.#client.destroy()
    this.#server.destroy()
  }

  release(): void {
    const bytes = this.#held.shift()
    if (bytes !== undefined) this.#send(bytes)
  }

  #send(bytes: Buffer): void {
    this.isBusy = true
    this.#server.write(bytes)
  }

  #hear(bytes: Buffer): void {
    if (!this.#isReady) return void this.#server.write(bytes)
    this.#fromClient = Buffer.concat([this.#fromClient, bytes])
    for (let end = 0; ;) {
      const message = messageAt(this.#fromClient, end)
      if (message === null) return
      end += message.size
      this.#learn(message)
      if (message.type === "X") return void this.#server.write(this.#fromClient)
      if (message.type !== "S" && message.type !== "Q") continue
      this.#request(this.#fromClient.subarray(0, end))
      this.#fromClient = this.#fromClient.subarray(end)
      end = 0
    }
  }

  #sql = ""

  #learn({ body, type }: Message): void {
    if (type === "Q") this.#sql = textAt(body, 0)
    if (type === "P") {
      const name = textAt(body, 0)
      this.#statements.set(name, textAt(body, name.length + 1))
    }
    if (type === "B") {
      const portal = textAt(body, 0)
      this.#sql = this.#statements.get(textAt(body, portal.length + 1)) ?? "?"
    }
  }

  #request(bytes: Buffer): void {
    const sql = this.#sql
    // Hints to others are sent in the background, whenever: nothing depends on them.
    if (!this.#rules.isHolding() || sql.includes("pg_notify($1")) return this.#send(bytes)
    this.#held.push(bytes)
    this.#rules.held({ sql, release: () => this.release() })
  }

  #answer(bytes: Buffer): void {
    this.#client.write(bytes)
    this.#fromServer = Buffer.concat([this.#fromServer, bytes])
    let end = 0
    for (;;) {
      const message = messageAt(this.#fromServer, end)
      if (message === null) break
      end += message.size
      if (message.type === "K") this.backend = message.body.readInt32BE(0)
      if (message.type !== "Z") continue
      this.#isReady = true
      this.isBusy = false
      this.#rules.answered()
    }
    this.#fromServer = this.#fromServer.subarray(end)
  }
}

type Message = { readonly type: string; readonly body: Buffer; readonly size: number }

/** A byte of type, four of length, which counts itself, and the body. */
const messageAt = (bytes: Buffer, at: number): Message | null => {
  if (bytes.length < at + 5) return null
  const size = 1 + bytes.readInt32BE(at + 1)
  if (bytes.length < at + size) return null
  return { type: String.fromCharCode(bytes[at] ?? 0), body: bytes.subarray(at + 5, at + size), size }
}

const textAt = (bytes: Buffer, at: number): string => {
  const end = bytes.indexOf(0, at)
  return bytes.toString("utf8", at, end < 0 ? bytes.length : end)
}
