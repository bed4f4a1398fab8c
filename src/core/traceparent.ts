/**
 * The trace context of W3C, version 00: `00-<trace id>-<span id>-<flags>`, in lower case hex. It is stored with a task, so that its
 * attempts continue the trace of whoever has scheduled it, whenever that was and in whatever process they run.
 */
export type SpanContext = { readonly traceId: string; readonly spanId: string; readonly sampled: boolean }

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/
/** All zeros name nothing, by the same standard. */
const zeros = /^0+$/
const sampledFlag = 1

/** Null: the ids are not those of the standard, as those of a tracer for tests may be. */
export const traceparentOf = ({ sampled, spanId, traceId }: SpanContext): string | null => {
  const text = `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`
  return spanContextOf(text) === null ? null : text
}

/** Total: null for whatever is none. */
export const spanContextOf = (traceparent: unknown): SpanContext | null => {
  if (typeof traceparent !== "string") return null
  const [, traceId, spanId, flags] = pattern.exec(traceparent) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return null
  if (zeros.test(traceId) || zeros.test(spanId)) return null
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & sampledFlag) === sampledFlag }
}
