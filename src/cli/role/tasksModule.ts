/** Loads the handlers of `--tasks`: a module of the user that exports what `kind.handle(...)` gives. */
import { Cause, Effect, Layer } from "effect"
import * as fs from "node:fs"
import { findPackageJSON } from "node:module"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { TasksInvalid } from "../../DuetimeError.ts"
import type { Handlers, layerFromEnv } from "../../index.ts"
import { withoutTypelessWarning } from "./typelessWarning.ts"

export type Tasks = {
  /** As it was given, for messages. */
  readonly module: string
  readonly layer: HandlersLayer
}

/** Handlers, on what `layerFromEnv` gives. Nobody knows how they fail. */
type HandlersLayer = Layer.Layer<never, Error, Handlers | Layer.Success<typeof layerFromEnv>>

const exportWayOut =
  'Export "tasks", a layer of handlers: export const tasks = Layer.mergeAll(SendEmail.handle(...), ...)'

/** @param module relative to the working folder */
export const loadTasks = Effect.fnUntraced(function* (module: string): Effect.fn.Return<Tasks, TasksInvalid> {
  const file = path.resolve(module)
  if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
    return yield* new TasksInvalid({ module, problem: `does not exist: no file ${file}`, wayOut: pathWayOut })
  }
  const loaded = yield* Effect.tryPromise({
    try: () => withoutTypelessWarning<unknown>(() => import(pathToFileURL(file).href)),
    catch: (cause) => tasksFailed(module, "cannot be loaded", cause)
  })
  const exported = exportOf(loaded)
  const [first, ...others] = Array.isArray(exported) ? exported : [exported]
  if (!isHandlers(first) || !others.every(isHandlers)) {
    const problem =
      exported === undefined ? "exports neither tasks nor a default" : "exports tasks that are no layer of handlers"
    return yield* new TasksInvalid({ module, problem, wayOut: exportWayOut })
  }
  return { module, layer: Layer.mergeAll(first, ...others) }
})

/** Whatever went wrong in the user's code, in its own words. */
export const tasksFailed = (module: string, problem: string, cause: unknown): TasksInvalid => {
  const error = Cause.isCause(cause) ? Cause.squash(cause) : cause
  const [message = ""] = (error instanceof Error ? error.message : String(error)).split("\n")
  const place = placeOf(error)
  const reason = place === null ? message : `${message} (${path.relative("", place.file)}:${place.line})`
  return new TasksInvalid({
    module,
    problem: `${problem}: ${reason.slice(0, reasonLengthMax)}`,
    wayOut: (place === null ? null : typeWayOut(message, place.file)) ?? "Correct it; DUETIME_DEBUG=1 shows the stack",
    cause
  })
}

/** Of code that makes no sense Node says the file and line only where the stack begins. */
const placeOf = (error: unknown): { readonly file: string; readonly line: string } | null => {
  if (!(error instanceof SyntaxError)) return null
  const [, file, line] = /^(?:file:\/\/)?(\/.*):(\d+)$/m.exec(error.stack ?? "") ?? []
  return file === undefined || line === undefined ? null : { file, line }
}

/** `npm init -y` writes "type": "commonjs", and then Node takes `import` in a .ts or .js file for a mistake. */
const typeWayOut = (message: string, file: string): string | null => {
  const { name, ext } = path.parse(file)
  const isTaken = /^(Cannot use import statement outside a module|Unexpected token 'export')/.test(message)
  if (!isTaken || (ext !== ".ts" && ext !== ".js") || file.includes("/node_modules/")) return null
  const manifest = findPackageJSON(pathToFileURL(file))
  const where = manifest === undefined ? "package.json" : path.relative("", manifest)
  return `${where} makes it CommonJS: set "type": "module" there (npm pkg set type=module), or call the file ${name}.m${ext.slice(1)}`
}

export const withoutHandlers = (module: string): TasksInvalid =>
  new TasksInvalid({ module, problem: "registers no handler", wayOut: exportWayOut })

const pathWayOut = "Give the path of a .js or .ts module, from the folder you are in"
const reasonLengthMax = 300

const exportOf = (module: unknown): unknown => {
  if (typeof module !== "object" || module === null) return undefined
  if ("tasks" in module) return module.tasks
  return "default" in module ? module.default : undefined
}

/** What a layer needs shows when it is built. */
const isHandlers = (value: unknown): value is HandlersLayer => Layer.isLayer(value)
