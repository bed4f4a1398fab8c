/** A Kafka of a test's own, to be killed and emptied. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"

const classpath = process.env["DUETIME_TEST_KAFKA_CLASSPATH"]
export const hasOwnKafka = classpath !== undefined

export const user = { username: "app", password: "secret" }

export class OwnKafka {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "kb-"))
  readonly port: number
  readonly saslPort: number
  readonly #controllerPort: number
  #process: ChildProcess | undefined

  private constructor([port = 0, controllerPort = 0, saslPort = 0]: ReadonlyArray<number>) {
    this.port = port
    this.saslPort = saslPort
    this.#controllerPort = controllerPort
  }

  static readonly make = async (): Promise<OwnKafka> =>
    new OwnKafka([await freePort(), await freePort(), await freePort()])

  get broker(): string {
    return `127.0.0.1:${this.port}`
  }

  get saslBroker(): string {
    return `127.0.0.1:${this.saslPort}`
  }

  /** Ready when it takes connections. */
  async start(): Promise<void> {
    const settings = path.join(this.folder, "server.properties")
    const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="${user.username}" password="${user.password}" user_${user.username}="${user.password}";`
    fs.writeFileSync(
      settings,
      [
        "process.roles=broker,controller",
        "node.id=1",
        `controller.quorum.voters=1@127.0.0.1:${this.#controllerPort}`,
        `listeners=PLAINTEXT://127.0.0.1:${this.port},SASL_PLAINTEXT://127.0.0.1:${this.saslPort},CONTROLLER://127.0.0.1:${this.#controllerPort}`,
        `advertised.listeners=PLAINTEXT://127.0.0.1:${this.port},SASL_PLAINTEXT://127.0.0.1:${this.saslPort}`,
        "controller.listener.names=CONTROLLER",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms=PLAIN",
        `listener.name.sasl_plaintext.plain.sasl.jaas.config=${jaas}`,
        `log.dirs=${path.join(this.folder, "data")}`,
        "offsets.topic.replication.factor=1",
        "offsets.topic.num.partitions=2",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "auto.create.topics.enable=false",
        "group.initial.rebalance.delay.ms=0",
        "group.min.session.timeout.ms=1000"
      ].join("\n")
    )
    if (!fs.existsSync(path.join(this.folder, "data"))) {
      const id = Buffer.from(Array.from({ length: 16 }, () => Math.floor(Math.random() * 256))).toString("base64url")
      const formatted = spawnSync("java", [...java, "kafka.tools.StorageTool", "format", "-t", id, "-c", settings])
      if (formatted.status !== 0) throw new Error(String(formatted.stderr))
    }
    const log = fs.openSync(path.join(this.folder, "log"), "a")
    this.#process = spawn("java", [...java, "kafka.Kafka", settings], { stdio: ["ignore", log, log] })
    while (!(await answers(this.port))) {
      if (this.#process.exitCode !== null) throw new Error(fs.readFileSync(path.join(this.folder, "log"), "utf8"))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async kill(): Promise<void> {
    const killed = this.#process
    if (killed === undefined || killed.exitCode !== null || killed.signalCode !== null) return
    const gone = new Promise((resolve) => killed.once("exit", resolve))
    killed.kill("SIGKILL")
    await gone
  }

  wipe(): void {
    fs.rmSync(path.join(this.folder, "data"), { recursive: true })
  }

  async remove(): Promise<void> {
    await this.kill()
    fs.rmSync(this.folder, { recursive: true })
  }
}

const java = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath ?? ""]

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = net.connect({ port, host: "127.0.0.1" })
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false))
    socket.once("connect", () => socket.destroy())
  })
