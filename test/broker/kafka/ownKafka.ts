/** A Kafka of a test's own, to be killed and emptied; it comes back on the port it had. */
import { Effect, Exit, Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as EmbeddedKafka from "../../../src/embedded/EmbeddedKafka.ts"
import { authority } from "../../setup/certificates.ts"

export const user = { username: "app", password: "secret" }

export class OwnKafka {
  readonly #folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-own-kafka-"))
  #running: { readonly kafka: EmbeddedKafka.RunningKafka; readonly scope: Scope.Closeable } | undefined
  #port: number | undefined
  #saslBroker = ""
  readonly #certificates = Scope.makeUnsafe()
  readonly #authority = Effect.runSync(Scope.provide(authority, this.#certificates))
  readonly #certificate = this.#authority.sign(["127.0.0.1"])

  get broker(): string {
    return `127.0.0.1:${this.#port}`
  }

  /** PEM file of who signed the certificate that `saslBroker` shows. */
  get caFile(): string {
    return this.#authority.caFile
  }

  get saslBroker(): string {
    return this.#saslBroker
  }

  async start(): Promise<void> {
    const scope = Scope.makeUnsafe()
    const kafka = await Effect.runPromise(
      EmbeddedKafka.make({
        dataDirectory: this.#data,
        sasl: user,
        tls: {
          certificateChain: fs.readFileSync(this.#certificate.certFile, "utf8"),
          key: fs.readFileSync(this.#certificate.keyFile, "utf8")
        },
        ...(this.#port === undefined ? {} : { port: this.#port })
      }).pipe(Scope.provide(scope))
    )
    this.#port = kafka.port
    this.#saslBroker = kafka.saslBrokers ?? ""
    this.#running = { kafka, scope }
  }

  /** As a crash of the machine would. */
  async kill(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    process.kill(running.kafka.processId, "SIGKILL")
    await Effect.runPromise(Scope.close(running.scope, Exit.void))
  }

  wipe(): void {
    fs.rmSync(this.#data, { recursive: true })
  }

  async remove(): Promise<void> {
    await this.kill()
    fs.rmSync(this.#folder, { recursive: true })
    await Effect.runPromise(Scope.close(this.#certificates, Exit.void))
  }

  get #data(): string {
    return path.join(this.#folder, "data")
  }
}
