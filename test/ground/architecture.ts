/**
 * The directions of imports and what no source may do, as a pure function over file texts, so that a test can feed it
 * sources that break each rule. Type-only imports count too: a type known is a design known.
 */
import * as path from "node:path"

/** Path from the repository's root (`src/core/decide.ts`) to its text. */
export type Sources = ReadonlyMap<string, string>

type Zone = keyof typeof mayImport

/** Who may import whom. A zone may always import itself. */
const mayImport = {
  core: [],
  store: ["core"],
  "store memory": ["core", "store"],
  "store/postgres": ["core", "store"],
  broker: ["core"],
  "broker memory": ["core", "broker"],
  "broker/kafka": ["core", "broker"],
  engine: ["core", "store", "broker", "base"],
  worker: ["core", "store", "broker", "handlers", "base"],
  handlers: ["core", "store", "worker", "base"],
  /** What any process reads: DuetimeConfig, DuetimeError, DuetimeMetrics, DuetimeTraces. */
  base: ["core", "store", "broker"],
  /** What a developer calls: Task, Duetime and what stands beside them. */
  client: ["core", "store", "handlers", "base", "words"],
  /** A rule as a person would say it. */
  words: ["core"],
  embedded: [],
  /** The composition root, the only one that sees adapters, and what it is told. */
  layers: [
    "core",
    "store",
    "store memory",
    "store/postgres",
    "broker",
    "broker memory",
    "broker/kafka",
    "engine",
    "worker",
    "handlers",
    "base",
    "client",
    "embedded"
  ],
  index: ["core", "store", "broker", "engine", "worker", "handlers", "base", "client", "layers"],
  api: ["core", "base", "client"],
  promise: ["core", "base", "client", "handlers", "layers", "index"],
  testing: [
    "core",
    "store",
    "store memory",
    "broker",
    "broker memory",
    "engine",
    "worker",
    "handlers",
    "base",
    "client",
    "layers",
    "index"
  ],
  holidays: ["core", "base", "client"],
  /** `dev` starts the embedded server. */
  cli: ["core", "store", "api", "base", "client", "words", "layers", "index", "embedded"],
  dashboard: ["api"]
} as const satisfies Record<string, ReadonlyArray<string>>

const zonePatterns: ReadonlyArray<readonly [RegExp, Zone]> = [
  [/^src\/store\/postgres\//, "store/postgres"],
  [/^src\/store\/(memory\/|Memory)/, "store memory"],
  [/^src\/broker\/kafka\//, "broker/kafka"],
  [/^src\/broker\/(memory\/|Memory)/, "broker memory"],
  [/^src\/worker\/Handlers\.ts$/, "handlers"],
  [/^src\/(core|store|broker|engine|worker|embedded|api|promise|testing|holidays|cli|dashboard)\//, "core"],
  [/^src\/Duetime(Config|Error|Metrics|Traces)\.ts$/, "base"],
  [/^src\/ruleWords\.ts$/, "words"],
  [/^src\/(layers|layerSettings)\.ts$/, "layers"],
  [/^src\/index\.ts$/, "index"],
  [/^src\/[^/]+\.ts$/, "client"]
]

interface Reserved {
  readonly modules: RegExp
  readonly zones: ReadonlyArray<Zone>
  /** Zones that may name its types, and nothing else. */
  readonly typeZones: ReadonlyArray<Zone>
  readonly why: string
}

/** Modules of other packages that only some zones may see. */
const reserved: ReadonlyArray<Reserved> = [
  {
    modules: /^date-holidays/,
    zones: ["holidays"],
    typeZones: [],
    why: "holidays of countries are read in one place, and the library is optional"
  },
  { modules: /^cronstrue/, zones: ["words"], typeZones: [], why: "cron is put into words in one place" },
  { modules: /^kafkajs/, zones: ["broker/kafka"], typeZones: [], why: "Kafka is known only to its adapter" },
  {
    modules: /^(effect\/sql|@effect\/sql-pg)/,
    // A simulated node has no SQL, and hands a client to `commit` that says so.
    zones: ["store/postgres", "layers", "testing"],
    // A handler's `commit` hands the transaction's client to the user.
    typeZones: ["worker", "handlers", "client", "promise"],
    why: "SQL is known only to its adapter"
  }
]

/** What the pure core may take from `effect`: data, never anything that runs, waits, or asks for the time. */
const pureModules = new Set(
  (
    "Array BigInt Boolean Brand Cron Data DateTime Duration Equal Equivalence Hash HashMap HashSet Match Number Option " +
    "Order Predicate Record Result Schema SchemaGetter SchemaIssue SchemaTransformation String Struct Tuple Types " +
    "absurd flow identity pipe"
  ).split(" ")
)

const forbiddenNames = /^(utils?|common|helpers?|misc)$/i

/** Time, timers and chance come from a service that a test can replace. */
const forbiddenCalls: ReadonlyArray<readonly [string, RegExp]> = [
  ["Date.now", /\bDate\.now\b/],
  ["new Date()", /\bnew Date(?!\s*\(\s*[^)\s])/],
  ["Math.random", /\bMath\.random\b/],
  ["performance.now", /\bperformance\.now\b/],
  ["process.hrtime", /\bprocess\.hrtime\b/],
  ["setTimeout", /\bsetTimeout\b/],
  ["setInterval", /\bsetInterval\b/],
  ["setImmediate", /\bsetImmediate\b/],
  ["randomUUID", /\brandom(UUID|Bytes|FillSync|Fill|Int)\b/]
]

/** `file: [call, reason]`. An entry that its file no longer needs is reported as well. */
export type Exceptions = Readonly<Record<string, ReadonlyArray<readonly [call: string, reason: string]>>>

/** Everything that breaks a rule, one sentence each; empty when the house is in order. */
export const violationsOf = (
  sources: Sources,
  packages: ReadonlyArray<string>,
  exceptions: Exceptions = {}
): ReadonlyArray<string> => [
  ...[...sources].flatMap(([file, text]) => [
    ...nameViolations(file),
    ...importViolations(file, text, sources, packages),
    ...callViolations(file, text, exceptions)
  ]),
  ...cycles(sources).map((cycle) => `These files import each other in a circle: ${cycle.join(" -> ")}`)
]

export const zoneOf = (file: string): Zone | undefined => {
  for (const [pattern, zone] of zonePatterns) {
    const match = pattern.exec(file)
    if (match === null) continue
    return match[1] !== undefined && match[1] in mayImport ? (match[1] as Zone) : zone
  }
  return undefined
}

const nameViolations = (file: string): ReadonlyArray<string> => [
  ...(zoneOf(file) === undefined ? [`${file} lies in no zone of the house; see zonePatterns`] : []),
  ...file
    .split("/")
    .map((part) => part.replace(/\.\w+$/, ""))
    .filter((part) => forbiddenNames.test(part))
    .map((part) => `${file}: "${part}" says nothing about what is inside; name it after its noun`)
]

const importViolations = (
  file: string,
  text: string,
  sources: Sources,
  packages: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const zone = zoneOf(file)
  if (zone === undefined) return []
  return importsOf(text).flatMap(({ module, names, typeOnly }) => {
    if (module.startsWith(".")) {
      const target = path.posix.join(path.posix.dirname(file), module)
      const targetZone = zoneOf(target)
      if (!sources.has(target)) return [`${file} imports ${module}, which does not exist in src`]
      const allowed: ReadonlyArray<string> = mayImport[zone]
      return targetZone === zone || (targetZone !== undefined && allowed.includes(targetZone))
        ? []
        : [`${file} (${zone}) must not import ${target} (${targetZone})`]
    }
    return [
      ...packageViolations(file, module, packages),
      ...reserved
        .filter(({ modules }) => modules.test(module))
        .filter(({ zones, typeZones }) => !zones.includes(zone) && !(typeOnly && typeZones.includes(zone)))
        .map(({ why }) => `${file} must not import ${module}: ${why}`),
      ...(zone === "core" ? coreViolations(file, module, names) : [])
    ]
  })
}

const packageViolations = (file: string, module: string, packages: ReadonlyArray<string>): ReadonlyArray<string> =>
  module.startsWith("node:") || packages.some((name) => module === name || module.startsWith(`${name}/`))
    ? []
    : [`${file} imports ${module}, which users do not install: it is no dependency in package.json`]

const coreViolations = (file: string, module: string, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const used = module === "effect" ? names : [module.replace(/^effect\//, "")]
  return used
    .filter((name) => !pureModules.has(name))
    .map((name) => `${file} must not import ${name}: the core is pure, time and ids come in with the command`)
}

const callViolations = (file: string, text: string, exceptions: Exceptions): ReadonlyArray<string> => {
  const code = withoutStrings(withoutComments(text))
  const excepted = exceptions[file] ?? []
  const used = forbiddenCalls.filter(([, pattern]) => pattern.test(code)).map(([call]) => call)
  return [
    ...used
      .filter((call) => !excepted.some(([name]) => name === call))
      .map(
        (call) => `${file} must not use ${call}: take it from a service, or name the file and a reason in exceptions`
      ),
    ...excepted
      .filter(([call]) => !used.includes(call))
      .map(([call]) => `${file} no longer uses ${call}: remove its exception`)
  ]
}

const cycles = (sources: Sources): ReadonlyArray<ReadonlyArray<string>> => {
  const found: Array<ReadonlyArray<string>> = []
  const finished = new Set<string>()
  const visit = (file: string, trail: ReadonlyArray<string>): void => {
    const at = trail.indexOf(file)
    if (at >= 0) found.push([...trail.slice(at), file])
    if (at >= 0 || finished.has(file)) return
    for (const { module } of importsOf(sources.get(file) ?? "")) {
      if (module.startsWith(".")) visit(path.posix.join(path.posix.dirname(file), module), [...trail, file])
    }
    finished.add(file)
  }
  for (const file of sources.keys()) visit(file, [])
  return found
}

interface Import {
  readonly module: string
  readonly typeOnly: boolean
  readonly names: ReadonlyArray<string>
}

const importsOf = (text: string): ReadonlyArray<Import> => {
  const code = withoutComments(text)
  const statements = code.matchAll(/^\s*(?:import|export)\s+(?:([^;"'`]*?)\s+from\s+)?["']([^"']+)["']/gm)
  const calls = code.matchAll(/\bimport\s*\(\s*["']([^"']+)["']/g)
  return [
    ...[...statements].map(([, clause = "", module = ""]) => ({
      module,
      typeOnly: /^type\s/.test(clause),
      names: namesIn(clause)
    })),
    ...[...calls].map(([, module = ""]) => ({ module, typeOnly: false, names: ["import()"] }))
  ]
}

/** Names as the module calls them: `{ type A, B as C }` gives A and B; `* as X` gives everything. */
const namesIn = (clause: string): ReadonlyArray<string> => {
  const braces = /\{([^}]*)\}/.exec(clause)?.[1]
  if (braces === undefined) return [clause.trim()]
  return braces
    .split(",")
    .map((name) =>
      name
        .trim()
        .replace(/^type\s+/, "")
        .replace(/\s+as\s+.*$/, "")
    )
    .filter((name) => name !== "")
}

const string = String.raw`"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|` + "`(?:\\\\.|[^`\\\\])*`"
const commentOrString = new RegExp(String.raw`\/\/[^\n]*|\/\*[\s\S]*?\*\/|${string}`, "g")
const withoutComments = (text: string): string =>
  text.replace(commentOrString, (found) => (found.startsWith("/") ? "" : found))
const withoutStrings = (code: string): string => code.replace(new RegExp(string, "g"), '""')
