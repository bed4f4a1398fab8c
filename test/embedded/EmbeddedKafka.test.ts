import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schedule, Scope } from "effect"
import { type Admin, Kafka, type KafkaConfig, KafkaJSError, logLevel } from "kafkajs"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { Line } from "../../simulations/chaos/Line.ts"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"
import * as KafkaDirectory from "../../src/embedded/KafkaDirectory.ts"
import * as KafkaProgram from "../../src/embedded/KafkaProgram.ts"
import { isAlive, processStart } from "../../src/embedded/ServerProcess.ts"
import { onKafka } from "../setup/kafka.ts"

/** Several starts, each 2 s alone and up to 15 s on a machine that is busy. */
const timeout = 180_000

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "embedded-test-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

const untilGone = (processId: number) =>
  Effect.gen(function* () {
    while (isAlive(processId)) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOption("30 seconds"))

/** kafkajs tries again what a coordinator that is still loading refuses; but a wrong password is worth one try. */
const client = (brokers: string, sasl?: NonNullable<KafkaConfig["sasl"]>) =>
  new Kafka({
    brokers: [brokers],
    logLevel: logLevel.NOTHING,
    ...(sasl === undefined ? {} : { sasl, retry: { retries: 0 } })
  })

const administer = <A>(kafka: Kafka, use: (admin: Admin) => Promise<A>) =>
  Effect.tryPromise(async () => {
    const admin = kafka.admin()
    await admin.connect()
    return await use(admin).finally(() => admin.disconnect())
  })

const topic = "kept"
const groupId = "readers"

const makeTopic = (brokers: string) =>
  administer(client(brokers), async (admin) => {
    assert.isTrue(await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }))
    await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "1" }] })
  })

const produce = (brokers: string, value: string) =>
  Effect.promise(async () => {
    const producer = client(brokers).producer({ allowAutoTopicCreation: false })
    await producer.connect()
    await producer.send({ topic, acks: -1, messages: [{ value }] })
    await producer.disconnect()
  })

/** How many records the topic holds, and where the group stands. */
const look = (brokers: string) =>
  administer(client(brokers), async (admin) => {
    const [partition] = await admin.fetchTopicOffsets(topic)
    const [group] = await admin.fetchOffsets({ groupId, topics: [topic] })
    return { records: partition?.high, committed: group?.partitions[0]?.offset }
  }).pipe(
    // After a restart the coordinator loads its groups for a moment, and kafkajs does not wait for it here.
    Effect.retry({ while: ({ cause }) => cause instanceof KafkaJSError && cause.retriable, schedule: lookAgain }),
    Effect.timeout("30 seconds")
  )

const lookAgain = Schedule.spaced("50 millis")

/** A process that runs Kafka on `dataDirectory`, prints what it got as JSON, and stays until it is killed. */
const holder = (dataDirectory: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const program = `
        import { Effect } from "effect"
        import * as EmbeddedKafka from ${JSON.stringify(path.resolve("src/embedded/EmbeddedKafka.ts"))}
        await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
          console.log(JSON.stringify(yield* EmbeddedKafka.make(${JSON.stringify({ dataDirectory })})))
          yield* Effect.sleep("10 minutes")
        })))`
      const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const [line] = await once(child.stdout, "data")
      return { child, kafka: JSON.parse(String(line)) as EmbeddedKafka.RunningKafka }
    }),
    ({ child, kafka }) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        untilGone(kafka.processId)
      )
  )

onKafka("the embedded Kafka", () => {
  it.live(
    "keeps to this machine, tells who comes through a proxy to come there, takes one user only, and leaves nothing when its scope closes",
    () =>
      Effect.gen(function* () {
        const sasl = { username: "duetime", password: 'a "quoted" \\ secret' }
        const kafka = yield* Effect.scoped(
          Effect.gen(function* () {
            let proxied: ReadonlyArray<number> = []
            const proxy = yield* Line.open(() => ({ host: "127.0.0.1", port: proxied[0] ?? 0 }))
            const running = yield* EmbeddedKafka.make({ sasl, proxyPorts: [proxy.port] })
            proxied = running.proxiedPorts
            const cluster = yield* administer(client(running.brokers), (admin) => admin.describeCluster())
            assert.deepStrictEqual(
              cluster.brokers.map(({ host, port }) => `${host}:${port}`),
              [running.brokers]
            )
            const throughProxy = `127.0.0.1:${proxy.port}`
            const seen = yield* administer(client(throughProxy), (admin) => admin.describeCluster())
            assert.deepStrictEqual(
              seen.brokers.map(({ host, port }) => `${host}:${port}`),
              [throughProxy]
            )
            for (const address of outsideAddresses()) assert.isFalse(yield* takesConnections(running.port, address))

            const secured = running.saslBrokers ?? ""
            const right = client(secured, { mechanism: "plain", ...sasl })
            assert.deepStrictEqual(yield* administer(right, (admin) => admin.listTopics()), [])
            const wrong = client(secured, { mechanism: "plain", ...sasl, password: "wrong" })
            const refused = yield* Effect.flip(administer(wrong, (admin) => admin.listTopics()))
            assert.include(String(refused.cause), "SASL PLAIN authentication failed")
            return running
          })
        )
        assert.isFalse(isAlive(kafka.processId))
        assert.isFalse(fs.existsSync(kafka.dataDirectory))
      }),
    timeout
  )

  it.live(
    "finds records and committed offsets again on the same port, after a clean stop and after SIGKILL",
    () =>
      Effect.gen(function* () {
        const dataDirectory = path.join(yield* temporaryFolder, "below", "data")
        const { brokers, port } = yield* Effect.scoped(
          Effect.tap(EmbeddedKafka.make({ dataDirectory }), ({ brokers }) =>
            Effect.andThen(makeTopic(brokers), produce(brokers, "before the stop"))
          )
        )
        const scope = yield* Scope.make()
        const second = yield* EmbeddedKafka.make({ dataDirectory, port }).pipe(Scope.provide(scope))
        assert.strictEqual(second.brokers, brokers)
        assert.deepStrictEqual(yield* look(brokers), { records: "1", committed: "1" })
        yield* produce(brokers, "before the kill")
        process.kill(second.processId, "SIGKILL")
        assert.strictEqual((yield* untilGone(second.processId))._tag, "Some")
        yield* Scope.close(scope, Exit.void)

        yield* EmbeddedKafka.make({ dataDirectory, port })
        assert.deepStrictEqual(yield* look(brokers), { records: "2", committed: "1" })
      }),
    timeout
  )

  it.live(
    "refuses a folder on which a living process runs a server, and dies with that process when it is killed",
    () =>
      Effect.gen(function* () {
        const dataDirectory = path.join(yield* temporaryFolder, "data")
        const { child, kafka } = yield* holder(dataDirectory)
        const refused = yield* Effect.flip(EmbeddedKafka.make({ dataDirectory }))
        assert.instanceOf(refused, EmbeddedKafka.EmbeddedKafkaFailed)
        assert.include(refused.message, `process ${child.pid} runs a server on it`)
        assert.isTrue(isAlive(kafka.processId))
        child.kill("SIGKILL")
        assert.strictEqual((yield* untilGone(kafka.processId))._tag, "Some")
      }),
    timeout
  )

  it.live(
    "says what the server's log says when it cannot start, and which port is in use",
    () =>
      Effect.gen(function* () {
        const wrong = yield* Effect.flip(EmbeddedKafka.make({ settings: { "num.partitions": "some" } }))
        assert.instanceOf(wrong, EmbeddedKafka.EmbeddedKafkaFailed)
        assert.include(wrong.message, "Invalid value some for configuration num.partitions")

        const port = yield* busyPort
        const busy = yield* Effect.flip(EmbeddedKafka.make({ port }))
        assert.include(busy.message, `Port ${port} of 127.0.0.1 is in use`)
      }),
    timeout
  )
})

describe("a Kafka that a killed process left running", () => {
  it.live("is stopped, and no other program that has its number by now", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const leftover = yield* sleeper
      fs.writeFileSync(path.join(folder, "server.pid"), `${leftover} 1`)
      yield* KafkaDirectory.stopLeftover(folder, 5_000)
      assert.isTrue(isAlive(leftover))
      fs.writeFileSync(path.join(folder, "server.pid"), `${leftover} ${processStart(leftover)}`)
      yield* KafkaDirectory.stopLeftover(folder, 5_000)
      assert.isFalse(isAlive(leftover))
    })
  )
})

onKafka("the program of Kafka", () => {
  it.live("is asked for by name when Java is absent, or Maven with nothing fetched", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const java = yield* KafkaProgram.locate().pipe(Effect.map(({ java }) => realPathOf(java)))
      yield* environment({ PATH: folder, JAVA_HOME: undefined })
      const withoutJava = yield* Effect.flip(EmbeddedKafka.make())
      assert.instanceOf(withoutJava, EmbeddedKafka.EmbeddedKafkaUnavailable)
      assert.include(withoutJava.message, "Java 17 or newer")
      assert.include(withoutJava.message, "DUETIME_KAFKA_BROKERS")

      fs.symlinkSync(java, path.join(folder, "java"))
      const withoutMaven = yield* Effect.flip(KafkaProgram.locate([path.join(folder, "cache")]))
      assert.instanceOf(withoutMaven, EmbeddedKafka.EmbeddedKafkaUnavailable)
      assert.include(withoutMaven.message, "no `mvn` on the PATH")
      assert.deepStrictEqual(fs.readdirSync(path.join(folder, "cache")), [], "nothing half-made stays")
    })
  )

  it.live(
    "is fetched once: two that begin together get the same, and later ones do not ask Maven",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const fetched = yield* KafkaProgram.locate()
        const calls = path.join(folder, "calls")
        // Stands for Maven, whose download is not what is tested here.
        const script = `#!/bin/sh
for argument; do case "$argument" in -DoutputDirectory=*) cp -r "${fetched.folder}/libs" "\${argument#*=}";; esac; done
echo called >> "${calls}"
`
        fs.writeFileSync(path.join(folder, "mvn"), script, { mode: 0o755 })
        yield* environment({ PATH: `${folder}:${process.env["PATH"]}` })
        const locate = KafkaProgram.locate([path.join(folder, "cache")])
        const [first, second] = yield* Effect.all([locate, locate], { concurrency: 2 })
        assert.deepStrictEqual(first, second)
        assert.deepStrictEqual(fs.readdirSync(path.join(folder, "cache")), [`kafka-${KafkaProgram.version}`])
        assert.isTrue(fs.existsSync(path.join(first.folder, "formatted", "bootstrap.checkpoint")))

        const before = fs.readFileSync(calls, "utf8")
        assert.deepStrictEqual(yield* locate, first)
        assert.strictEqual(fs.readFileSync(calls, "utf8"), before)
      }),
    timeout
  )
})

const realPathOf = (program: string): string =>
  fs.realpathSync(execFileSync("which", [program], { encoding: "utf8" }).trim())

const environment = (variables: Readonly<Record<string, string | undefined>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
      for (const [name, value] of Object.entries(variables)) setVariable(name, value)
      return before
    }),
    (before) => Effect.sync(() => before.forEach(([name, value]) => setVariable(name, value)))
  )

const setVariable = (name: string, value: string | undefined): void => {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

const sleeper = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = spawn("/bin/sleep", ["600"], { stdio: "ignore" })
    await once(child, "spawn")
    return child.pid ?? 0
  }),
  (processId) =>
    Effect.sync(() => {
      if (isAlive(processId)) process.kill(processId, "SIGKILL")
    })
)

const busyPort = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = net.createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    return server
  }),
  (server) => Effect.sync(() => server.close())
).pipe(
  Effect.map((server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  })
)

const outsideAddresses = (): ReadonlyArray<string> =>
  Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address)

const takesConnections = (port: number, address: string) =>
  Effect.callback<boolean>((resume) => {
    const socket = net.connect(port, address)
    socket.once("connect", () => resume(Effect.succeed(true)))
    socket.once("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => socket.destroy())
  })
