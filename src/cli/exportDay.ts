import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { open, readFile, rename, rm, writeFile } from "node:fs/promises"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import type { EventPlace, Retention } from "../store/Retention.ts"
import type { StoreUnavailable } from "../store/StoreError.ts"

/**
 * A day of history as JSON Lines, compressed: one event a line, by task and version, as `duetime task --json` shows them. Page by
 * page, each a member of the gzip file, so that memory is bounded and what is whole of a broken file can be gone on with: beside
 * the file stands how far it is, after each page. The file has its name, and its checksum beside it, only when it is complete.
 */
export type Exported = {
  readonly file: string
  readonly events: number
  readonly bytes: number
  /** SHA-256 of the file, as it stands in `<file>.sha256`. */
  readonly sha256: string
  /** Events that an earlier, broken run had written. */
  readonly resumedAt: number
}

/** Events per page. Of payloads of 256 KiB it would be 256 MB; most are a thousandth of that. */
const pageEvents = 1_000

const compress = promisify(gzip)

/** The file that a day should be exported to cannot be written. */
export class ExportFailed extends Schema.TaggedError<ExportFailed>("duetime/ExportFailed")("ExportFailed", {
  file: Schema.String,
  problem: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    return `ExportFailed: ${this.file}: ${this.problem}. Nothing was dropped; mend it and repeat the command, which goes on where it was.`
  }
}

const Progress = Schema.Struct({
  day: Schema.String,
  events: Schema.Int,
  bytes: Schema.Int,
  after: Schema.NullOr(Schema.Struct({ taskId: Schema.String, version: Schema.Int }))
})
type Progress = typeof Progress.Type
const readProgress = Schema.decodeUnknownEffect(Schema.fromJsonString(Progress))

export const exportDay = Effect.fnUntraced(function* (
  retention: Retention["Service"],
  day: string,
  file: string,
  onPage: (events: number) => Effect.Effect<void>
): Effect.fn.Return<Exported, ExportFailed | StoreUnavailable> {
  const part = `${file}.part`
  const state = `${file}.part.json`
  const trying = <A>(act: () => Promise<A>) =>
    Effect.tryPromise({
      try: act,
      catch: (error) => new ExportFailed({ file, problem: error instanceof Error ? error.message : String(error) })
    })
  if (fs.existsSync(file)) return yield* new ExportFailed({ file, problem: "is there already" })

  const begun: Progress =
    fs.existsSync(state) && fs.existsSync(part)
      ? yield* trying(() => readFile(state, "utf8")).pipe(
          Effect.flatMap(readProgress),
          Effect.catchTag(
            "SchemaError",
            () => new ExportFailed({ file: state, problem: "is not what an export leaves" })
          )
        )
      : { day, events: 0, bytes: 0, after: null }
  if (begun.day !== day) return yield* new ExportFailed({ file: part, problem: `is an export of ${begun.day}` })

  const written = yield* Effect.acquireUseRelease(
    trying(() => open(part, begun.events === 0 ? "w" : "r+")),
    (handle) =>
      Effect.gen(function* () {
        // What was written behind the last page that is known to be whole.
        yield* trying(() => handle.truncate(begun.bytes))
        let { bytes, events } = begun
        let after: EventPlace | null = begun.after
        while (true) {
          const page = yield* retention.events(day, after, pageEvents)
          const last = page.at(-1)
          if (last === undefined) return { bytes, events }
          const text = page.map((event) => `${JSON.stringify(event)}\n`).join("")
          const packed = yield* trying(() => compress(text))
          yield* trying(async () => {
            await handle.write(packed, 0, packed.length, bytes)
            await handle.datasync()
          })
          bytes += packed.length
          events += page.length
          after = { taskId: last.taskId, version: last.version }
          const progress: Progress = { day, events, bytes, after }
          // Renamed over the one before: a crash leaves one of both, whole.
          yield* trying(async () => {
            await writeFile(`${state}.next`, JSON.stringify(progress))
            await rename(`${state}.next`, state)
          })
          yield* onPage(events)
        }
      }),
    (handle) => Effect.promise(() => handle.close())
  )

  const sha256 = yield* trying(() => digestOf(part))
  yield* trying(async () => {
    await writeFile(`${file}.sha256`, `${sha256}  ${file.split(/[\\/]/).at(-1)}\n`)
    await rename(part, file)
    await rm(state, { force: true })
  })
  return { file, ...written, sha256, resumedAt: begun.events }
})

const digestOf = async (file: string): Promise<string> => {
  const hash = createHash("sha256")
  for await (const chunk of fs.createReadStream(file)) hash.update(chunk)
  return hash.digest("hex")
}
