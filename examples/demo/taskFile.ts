/**
 * What a run asks for. It follows from the plan alone, so a run that was killed knows what it had asked for, and the
 * check at the end needs nobody's word for it. A task file has one task a line:
 *
 *   {"kind":"collect-payment","in":"7300 millis","priority":"critical","key":"overdue:INV-000042","payload":{...}}
 */
import { Schema } from "effect"
import * as fs from "node:fs"
import { SendEmail } from "../email.ts"
import { CollectPayment } from "../payments.ts"
import { BuildReport } from "../reports.ts"
import { randomOf } from "./random.ts"
import { merchantsCount, monthOf } from "./shop.ts"

export type Plan = {
  readonly seed: number
  readonly fileTasks: number
  readonly steadySeconds: number
  readonly burstTasks: number
}

export const steadyPerSecond = 100

/** Tasks of the file are due from one second after it was read until the steady phase ends. */
const fileDueFromMs = 1_000

export const AskedTask = Schema.Struct({
  kind: Schema.String,
  at: Schema.optionalKey(Schema.String),
  in: Schema.optionalKey(Schema.DurationFromString),
  priority: Schema.Literals(["critical", "high", "normal", "low"]),
  key: Schema.String,
  payload: Schema.JsonObject
})
export type AskedTask = typeof AskedTask.Type

export type Asked = {
  readonly file: ReadonlyArray<AskedTask>
  /** Due one after the other, evenly. */
  readonly steady: ReadonlyArray<AskedTask>
  /** All due in the same millisecond. */
  readonly burst: ReadonlyArray<AskedTask>
}

export const askedBy = (plan: Plan, file: ReadonlyArray<AskedTask>): Asked => {
  const steadyTasks = plan.steadySeconds * steadyPerSecond
  return {
    file,
    steady: generate(plan.seed + 1, plan.fileTasks, steadyTasks, everyday),
    burst: generate(plan.seed + 2, plan.fileTasks + steadyTasks, plan.burstTasks, nineOClock)
  }
}

/** Writes the file as a whole or not at all. */
export const writeTaskFile = (file: string, plan: Plan): void => {
  const random = randomOf(plan.seed)
  const spanMs = plan.steadySeconds * 1_000
  const lines = generate(plan.seed, 0, plan.fileTasks, everyday).map(({ kind, ...task }) => {
    const inMs = fileDueFromMs + Math.floor(random() * spanMs)
    return `${JSON.stringify({ kind, in: `${inMs} millis`, ...task })}\n`
  })
  fs.writeFileSync(`${file}.unfinished`, lines.join(""), { flush: true })
  fs.renameSync(`${file}.unfinished`, file)
}

export const readTaskFile = (file: string): ReadonlyArray<AskedTask> =>
  fs
    .readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line, index) => {
      if (line === "") return []
      try {
        return [decodeLine(line)]
      } catch (cause) {
        throw new Error(`${file}:${index + 1} is not a task`, { cause })
      }
    })

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(AskedTask))

/** One task of some sort; `number` is unique in the run. */
type Make = (number: number, random: () => number) => AskedTask

const generate = (seed: number, from: number, count: number, make: Make): ReadonlyArray<AskedTask> => {
  const random = randomOf(seed)
  return Array.from({ length: count }, (_, index) => make(from + index, random))
}

/** Mostly newsletters, and what earns the money. */
const everyday: Make = (number, random) => {
  const luck = random()
  if (luck < 0.15) return payment("critical", "overdue", number, random)
  if (luck < 0.3) return payment("high", "instalment", number, random)
  if (luck < 0.45) return report(number)
  return luck < 0.6 ? email("normal", "Your order", number) : email("low", "Spring sale", number)
}

/** 09:00:00.000: the newsletter goes out to everybody just when the overdue payments are collected. */
const nineOClock: Make = (number, random) =>
  random() < 0.2 ? payment("critical", "overdue", number, random) : email("low", "Good morning", number)

const payment = (priority: AskedTask["priority"], reason: string, number: number, random: () => number): AskedTask => {
  const invoice = `INV-${padded(number)}`
  const amountCents = 500 + Math.floor(random() * 50_000)
  const payload = { invoice, customer: `customer-${padded(number)}`, amountCents }
  return { kind: CollectPayment.kind, priority, key: `${reason}:${invoice}`, payload }
}

const email = (priority: AskedTask["priority"], about: string, number: number): AskedTask => {
  const to = `customer-${padded(number)}@example.com`
  const payload = { to, subject: `${about} ${padded(number)}`, text: `Hello,\n\n${about}. More in the shop.\n` }
  return { kind: SendEmail.kind, priority, key: `${about.toLowerCase().replaceAll(" ", "-")}:${to}`, payload }
}

const report = (number: number): AskedTask => {
  const payload = { merchantId: 1 + (number % merchantsCount), month: monthOf(Math.floor(number / merchantsCount)) }
  const key = `report:${payload.merchantId}:${payload.month}`
  return { kind: BuildReport.kind, priority: "normal", key, payload }
}

const padded = (number: number): string => String(number).padStart(6, "0")
