import { Effect, Layer, Option, Tracer } from "effect"

/** What an exporter would send, kept in memory: as Effect's own OTLP exporter does, sampled spans when they end. */
export class Spans {
  readonly ended: Array<Tracer.Span> = []
  readonly layer = Layer.succeed(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        const end = span.end.bind(span)
        span.end = (endTime, exit) => {
          const isOpen = span.status._tag === "Started"
          end(endTime, exit)
          if (isOpen && span.sampled) this.ended.push(span)
        }
        return span
      }
    })
  )

  named(name: string): ReadonlyArray<Tracer.Span> {
    return this.ended.filter((span) => span.name === name).toSorted(byStart)
  }
}

/** Of any number of processes: each span under its parent, by start; names of spans that nobody has are shown as "?". */
export const treeOf = (spans: ReadonlyArray<Tracer.Span>): ReadonlyArray<string> => {
  const byId = new Map(spans.map((span) => [span.spanId, span]))
  const parentIdOf = ({ parent }: Tracer.Span) => Option.getOrUndefined(Option.map(parent, ({ spanId }) => spanId))
  const under = (parentId: string | undefined, depth: number): ReadonlyArray<string> =>
    spans
      .filter((span) => parentIdOf(span) === parentId)
      .toSorted(byStart)
      .flatMap((span) => [`${"  ".repeat(depth)}${span.name}`, ...under(span.spanId, depth + 1)])
  const lost = spans.filter((span) => parentIdOf(span) !== undefined && !byId.has(parentIdOf(span) ?? ""))
  return [...under(undefined, 0), ...lost.map(({ name }) => `? ${name}`)]
}

const byStart = (a: Tracer.Span, b: Tracer.Span): number => Number(a.status.startTime - b.status.startTime)

/** Without the statements of the SQL client, which traces each. */
export const withoutSql = (spans: ReadonlyArray<Tracer.Span>) =>
  spans.filter(({ attributes }) => !attributes.has("db.query.text"))

/** The caller of the stories below. */
export const asCaller = Effect.withSpan("caller")
