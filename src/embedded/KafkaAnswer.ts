/**
 * Whether a Kafka really answers on 127.0.0.1: a Metadata request, written by hand, after which it names at least one
 * broker. An open port or an ApiVersions answer comes earlier, when the node still refuses to make topics.
 */
import { Effect } from "effect"
import * as net from "node:net"

/** A broker that starts may take the connection and answer later; one that hangs must not hold us. */
const answerTimeoutMs = 2_000

export const answers = (port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = net.connect(port, "127.0.0.1")
    let received = Buffer.alloc(0)
    socket.once("connect", () => socket.write(request))
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < brokersAt + 4) return
      resume(Effect.succeed(received.readInt32BE(brokersAt) > 0))
      socket.destroy()
    })
    // Refused, or closed without an answer.
    socket.on("error", () => undefined)
    socket.once("close", () => resume(Effect.succeed(false)))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.timeoutOrElse({ duration: answerTimeoutMs, orElse: () => Effect.succeed(false) }))

/** Of the answer: length and correlation id come before the number of brokers. */
const brokersAt = 8

/** https://kafka.apache.org/protocol: Metadata (3) in version 1, correlation id 1, no client id, an empty list of topics. */
const request = ((): Buffer => {
  const body = Buffer.alloc(14)
  body.writeInt16BE(3, 0)
  body.writeInt16BE(1, 2)
  body.writeInt32BE(1, 4)
  body.writeInt16BE(-1, 8)
  body.writeInt32BE(0, 10)
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
})()
