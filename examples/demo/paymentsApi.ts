/**
 * The payments provider of the demo, and a bad one: of 100 calls 10 are answered with a 5xx and 2 never. Worse, half of
 * the former and all of the latter have charged the card. What makes it usable is what real providers do: a call that
 * repeats an Idempotency-Key gets the first call's result and charges nothing, also after a restart, because the
 * ledger is on disk before anything is answered; and it can be asked what it has done for a key.
 *
 *   node paymentsApi.ts charges.jsonl seed
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { serveParent } from "./child.ts"
import { openLedger } from "./ledger.ts"
import { randomOf } from "./random.ts"

export type Payment = { readonly invoice: string; readonly customer: string; readonly amountCents: number }

export type ChargeEntry = Payment & {
  readonly key: string
  readonly chargeId: string
  /** The key was there before: nothing was charged. */
  readonly repeated: boolean
}

/** Share of calls, of 1. */
const failedBefore = 0.05
const failedAfter = 0.05
const hanging = 0.02
const bodyBytesMax = 10_000

const main = (file: string, seed: number) => {
  const charges = new Map<string, ChargeEntry>()
  const remember = (entry: ChargeEntry) => {
    if (!entry.repeated) charges.set(entry.key, entry)
  }
  const ledger = openLedger<ChargeEntry>(file, remember)
  const writes = new Map<string, Promise<void>>()
  const random = randomOf(seed)

  const charge = async (key: string, payment: Payment): Promise<Answer> => {
    const luck = random()
    if (luck < failedBefore) return [503, { error: "try again later" }]
    const first = charges.get(key)
    if (first !== undefined && first.invoice !== payment.invoice) {
      return [422, { error: "the idempotency key belongs to another payment" }]
    }
    const chargeId = first?.chargeId ?? `ch_${String(charges.size + 1).padStart(6, "0")}`
    const entry = { key, chargeId, ...payment, repeated: first !== undefined }
    // At once, so that the same key in two calls at the same time charges once.
    remember(entry)
    const written = ledger.append(entry)
    if (!entry.repeated) writes.set(key, written)
    await written
    if (luck < failedBefore + failedAfter) return [502, { error: "lost the connection to ourselves" }]
    if (luck < failedBefore + failedAfter + hanging) return null
    return [201, { chargeId, amountCents: entry.amountCents }]
  }

  /** What is on its way to the disk is waited for: neither denied nor promised too early. */
  const find = async (key: string): Promise<Answer> => {
    await writes.get(key)
    const entry = charges.get(key)
    return entry === undefined
      ? [404, { error: "no charge has this key" }]
      : [200, { chargeId: entry.chargeId, amountCents: entry.amountCents }]
  }

  serveParent(
    createServer((request, response) => {
      handle(request, charge, find).then(
        (answer) => reply(response, answer),
        () => reply(response, [500, { error: "cannot write the ledger" }])
      )
    })
  )
}

/** Status and body; null for a caller who is left waiting. */
type Answer = readonly [status: number, body: object] | null

const handle = async (
  request: IncomingMessage,
  charge: (key: string, payment: Payment) => Promise<Answer>,
  find: (key: string) => Promise<Answer>
): Promise<Answer> => {
  const asked = request.method === "GET" ? /^\/charges\/([^/]+)$/.exec(request.url ?? "")?.[1] : undefined
  if (asked !== undefined) return await find(decodeURIComponent(asked))
  const key = request.headers["idempotency-key"]
  if (request.method !== "POST" || request.url !== "/charges")
    return [404, { error: "POST /charges or GET /charges/<key>" }]
  if (typeof key !== "string") return [400, { error: "Idempotency-Key is missing" }]
  let body = ""
  for await (const chunk of request.setEncoding("utf8")) {
    body += String(chunk)
    if (body.length > bodyBytesMax) return [413, { error: `more than ${bodyBytesMax} bytes` }]
  }
  const payment = paymentOf(body)
  return payment === null ? [400, { error: "not a payment" }] : await charge(key, payment)
}

const paymentOf = (body: string): Payment | null => {
  try {
    const { amountCents, customer, invoice } = JSON.parse(body) as Record<string, unknown>
    return typeof invoice === "string" && typeof customer === "string" && Number.isSafeInteger(amountCents)
      ? { invoice, customer, amountCents: Number(amountCents) }
      : null
  } catch {
    return null
  }
}

const reply = (response: ServerResponse, answer: Answer): void => {
  if (answer === null) return
  const [status, body] = answer
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

const [file, seed] = process.argv.slice(2)
if (import.meta.main && file !== undefined) main(file, Number(seed))
