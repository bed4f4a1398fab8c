/**
 * `duetime dev`: a database, and the user's module in a process of its own, which a new one replaces as soon as it runs whenever a file of it
 * has changed. One that does not load replaces nothing. The order of the end is that of the beginning turned round: the application lets its
 * attempts end, and then the database stops.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as EmbeddedPostgres from "../../embedded/EmbeddedPostgres.ts"
import { layerVitals } from "../../layers.ts"
import { Vitals } from "../../store/Vitals.ts"
import { type Paint, paintFor } from "../render/paint.ts"
import { span } from "../render/time.ts"
import { stopSignal } from "../role/stopSignal.ts"
import { usage } from "../usage.ts"
import { launch } from "./Application.ts"
import * as FileWatch from "./FileWatch.ts"
import * as LiveView from "./LiveView.ts"
import { firstModule, nextCommands } from "./render.ts"
import * as Screen from "./Screen.ts"

export type DevOptions = {
  /** Path of the module with the handlers; none: the first of `modules` that is there. */
  readonly tasks: Option.Option<string>
  /** Runs the demo's kinds instead, on data of their own. */
  readonly demo: boolean
  readonly fresh: boolean
  readonly port: Option.Option<number>
}

/** Looked for in the working folder, in this order. */
const modules = ["", "src/"].flatMap((folder) => ["ts", "mts", "js", "mjs"].map((ending) => `${folder}tasks.${ending}`))
const demoModule = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./demo.ts" : "./demo.js", import.meta.url))

/** Runs until a signal comes; done when everything has stopped. */
export const develop = Effect.fnUntraced(function* (options: DevOptions) {
  const { canAnimate, canColor } = yield* TerminalCapabilities
  const screen = yield* Screen.make(canAnimate)
  const stopped = Effect.tap(stopSignal, () => Effect.sync(() => screen.line("stops: lets attempts end")))
  yield* Effect.raceFirst(Effect.scoped(begin(options, screen, canAnimate, canColor)), stopped)
  screen.line("stopped; nothing is left running")
})

const begin = Effect.fnUntraced(function* (
  options: DevOptions,
  screen: Screen.Screen,
  canAnimate: boolean,
  canColor: boolean
) {
  const paint = paintFor(canColor)
  const beganMs = yield* Clock.currentTimeMillis
  const url = yield* database(options, screen, paint)
  screen.line(`ready after ${span((yield* Clock.currentTimeMillis) - beganMs)}`)
  const watch = yield* FileWatch.make
  // Its "type" decides whether a module loads.
  watch.add(path.resolve("package.json"))
  const scope = yield* Effect.scope
  let running: { readonly life: Scope.Closeable; isStopped: boolean } | null = null
  let view: LiveView.LiveView | null = null

  while (true) {
    const module = moduleOf(options)
    if (module === null) {
      for (const name of modules) watch.add(path.resolve(name))
      for (const line of firstModule("tasks.ts")) screen.line(line)
      yield* watch.changed
      continue
    }
    const name = options.demo ? "the demo" : module
    watch.add(path.resolve(module))
    const life = yield* Scope.fork(scope)
    const next = yield* launch(module, url, {
      onLine: screen.line,
      onMessage: (message) => {
        if (message._tag === "Loaded") watch.add(message.file)
        if (message._tag === "Ended") view?.ended(message)
      }
    }).pipe(Scope.provide(life))
    const came = yield* Effect.raceAllFirst([
      Effect.map(next.started, (kinds) => ({ _tag: "Started" as const, kinds })),
      Effect.map(next.ended, (how) => ({ _tag: "Ended" as const, how })),
      Effect.as(watch.changed, { _tag: "Changed" as const })
    ])
    if (came._tag === "Started") {
      const before = running
      const current = { life, isStopped: false }
      running = current
      screen.line(
        paint.good(
          `${before === null ? "runs" : "runs anew"} ${name}: ${came.kinds.map(({ name }) => name).join(", ")}`
        )
      )
      if (view === null) {
        view = yield* LiveView.make(url, screen, paint, canAnimate)
        for (const line of nextCommands(url, came.kinds)) screen.line(line)
      }
      if (before !== null) {
        before.isStopped = true
        yield* Effect.forkScoped(Scope.close(before.life, Exit.void))
      }
      yield* next.ended.pipe(
        Effect.map((how) => {
          if (current.isStopped) return
          running = running === current ? null : running
          screen.line(paint.bad(`${name} has ended with ${how}; it runs anew when a file of it changes`))
        }),
        Effect.forkScoped
      )
    } else {
      yield* Scope.close(life, Exit.void)
      if (came._tag === "Changed") continue
      const meanwhile = running === null ? "nothing runs" : "the one before goes on"
      screen.line(paint.bad(`${name} does not run (${came.how}); ${meanwhile} until a file of it changes`))
    }
    yield* watch.changed
  }
})

const moduleOf = ({ demo, tasks }: DevOptions): string | null =>
  demo ? demoModule : Option.getOrElse(tasks, () => modules.find((name) => fs.existsSync(name)) ?? null)

/** The address of the database: that of the environment, or a PostgreSQL of this process. */
const database = Effect.fnUntraced(function* ({ demo, fresh, port }: DevOptions, screen: Screen.Screen, paint: Paint) {
  const given = yield* Config.option(Config.Redacted("DUETIME_DATABASE_URL")).pipe(Effect.orElseSucceed(Option.none))
  if (Option.isSome(given)) {
    if (fresh || Option.isSome(port)) {
      return yield* usage("--fresh and --port are for the database of duetime dev; DUETIME_DATABASE_URL names another.")
    }
    screen.line("duetime dev on the database of DUETIME_DATABASE_URL")
    yield* Effect.forkScoped(tellAbsent((text) => screen.line(paint.bad(text))))
    return Redacted.value(given.value)
  }
  const dataDirectory = demo ? ".duetime/devDemo" : ".duetime/postgres"
  const server = yield* EmbeddedPostgres.make({
    dataDirectory,
    fresh,
    ...(Option.isSome(port) ? { tcpPort: port.value } : {})
  })
  screen.line(`duetime dev on ${server.version.replace(/^.*\((.*)\)/, "$1")} in ${dataDirectory}`)
  return Option.isSome(port) ? `postgresql://postgres@127.0.0.1:${port.value}/postgres` : server.url
})

/**
 * The application waits for a database that does not answer, which is right for a service. Here the variable is often left of an earlier
 * `duetime dev`, whose database is gone.
 */
const tellAbsent = (tell: (text: string) => void) =>
  Effect.flatMap(Vitals, ({ server }) => server).pipe(
    Effect.provide(layerVitals),
    Effect.catchTag("StoreUnavailable", ({ reason }) =>
      Effect.sync(() => {
        if (reason.startsWith("ConnectionError")) tell(absent)
      })
    ),
    // What else is wrong, the application tells.
    Effect.ignore
  )

const absent =
  "DUETIME_DATABASE_URL is set, and nobody answers there. It is waited for; to have duetime dev start a database of its own: unset DUETIME_DATABASE_URL"
