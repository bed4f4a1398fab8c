/**
 * Ports of 127.0.0.1 that nobody listens on. They lie below those that an operating system gives to outgoing
 * connections (from 32768 on Linux), any of which could take the port of a server while it is down.
 */
import { Data, Effect, Random } from "effect"
import * as net from "node:net"

const portMin = 20_000
const portMax = 32_000
const attemptsMax = 50

export class NoFreePort extends Data.TaggedError("NoFreePort")<{ readonly message: string }> {}

/** One that is free now and is none of `taken`; another process may still be faster. */
export const choose = Effect.fnUntraced(function* (taken: ReadonlyArray<number>) {
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const port = yield* Random.nextIntBetween(portMin, portMax)
    if (!taken.includes(port) && (yield* isFree(port))) return port
  }
  return yield* new NoFreePort({ message: `${attemptsMax} ports between ${portMin} and ${portMax} are all in use` })
})

export const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const server = net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })
