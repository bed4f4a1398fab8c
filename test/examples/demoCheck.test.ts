import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { type World, verdictOf } from "../../examples/demo/check.ts"
import type { Evidence, TaskFacts } from "../../examples/demo/evidence.ts"
import { openLedger, readLedger } from "../../examples/demo/ledger.ts"
import { askedBy, type AskedTask, readTaskFile, writeTaskFile } from "../../examples/demo/taskFile.ts"

const plan = { seed: 7, fileTasks: 40, steadySeconds: 1, burstTasks: 10 }
const { burst, steady } = askedBy(plan, [])
const asked = [...steady, ...burst]

/** A run in which all went well: each task by one attempt. */
const goodTasks = asked.map(({ key, kind, payload, priority }, index): TaskFacts => ({
  taskId: `task-${index}`,
  kind,
  key,
  priority,
  payload,
  stage: "succeeded",
  attempts: 1,
  unsuccessful: 0,
  driftMs: 3
}))

const evidenceOf = (tasks: ReadonlyArray<TaskFacts>, fields: Partial<Evidence> = {}): Evidence => ({
  tasks: new Map(tasks.map((task) => [task.taskId, task])),
  driftUs: () => {
    throw new Error("the check does not ask for drift")
  },
  attempts: tasks.length,
  pulled: 0,
  failed: 0,
  expired: 0,
  released: 0,
  earlyStarts: [],
  audit: { streams: tasks.length, events: tasks.length * 4, violations: [] },
  ...fields
})

const ofKind = (kind: string) => goodTasks.filter((task) => task.kind === kind)
const fieldOf = (task: TaskFacts, name: string): string => String((task.payload as Record<string, unknown>)[name])
const goodWorld: World = {
  emails: ofKind("send-email").map((task) => ({
    messageId: `${task.taskId}@example.com`,
    to: fieldOf(task, "to"),
    subject: fieldOf(task, "subject")
  })),
  charges: ofKind("collect-payment").map((task) => ({
    key: task.taskId,
    chargeId: `ch_${task.taskId}`,
    invoice: fieldOf(task, "invoice"),
    customer: fieldOf(task, "customer"),
    amountCents: Number(fieldOf(task, "amountCents")),
    repeated: false
  })),
  reports: ofKind("build-report").map((task) => ({
    taskId: task.taskId,
    merchantId: Number(fieldOf(task, "merchantId")),
    month: fieldOf(task, "month"),
    right: true
  }))
}

const failing = (world: World, evidence: Evidence): ReadonlyArray<string> =>
  verdictOf(asked, world, evidence)
    .checks.filter(({ ok }) => !ok)
    .map(({ name }) => name)

const first = <A>(list: ReadonlyArray<A>): A => {
  const [one] = list
  if (one === undefined) throw new Error("the list is empty")
  return one
}

describe("the demo's check", () => {
  it("is green when the world holds exactly what was asked for", () => {
    assert.deepStrictEqual(failing(goodWorld, evidenceOf(goodTasks)), [])
  })

  const email = first(goodWorld.emails)
  const charge = first(goodWorld.charges)
  const report = first(goodWorld.reports)
  const repeats = "every repeated delivery follows an attempt that failed or was cut off"
  const emails = "every email went out, none that was not asked for"
  const charges = "every customer was charged once"
  const reports = "every report was written exactly once"
  const ended = "every task has ended well"
  const changed = (taskId: string, fields: Partial<TaskFacts>) =>
    goodTasks.map((task) => (task.taskId === taskId ? { ...task, ...fields } : task))

  const faults: ReadonlyArray<readonly [fault: string, world: Partial<World>, evidence: Evidence, red: Array<string>]> =
    [
      ["a lost email", { emails: goodWorld.emails.slice(1) }, evidenceOf(goodTasks), [emails]],
      [
        "an email of no task",
        { emails: [...goodWorld.emails, { ...email, messageId: "x@y" }] },
        evidenceOf(goodTasks),
        [emails, repeats]
      ],
      [
        "an email to somebody else",
        { emails: [{ ...email, to: "eve@example.com" }, ...goodWorld.emails.slice(1)] },
        evidenceOf(goodTasks),
        [emails]
      ],
      [
        "an email sent twice by one attempt",
        { emails: [...goodWorld.emails, email] },
        evidenceOf(goodTasks),
        [repeats]
      ],
      ["a lost charge", { charges: goodWorld.charges.slice(1) }, evidenceOf(goodTasks), [charges]],
      [
        "a second charge",
        { charges: [...goodWorld.charges, charge] },
        evidenceOf(changed(charge.key, { attempts: 2, unsuccessful: 1 })),
        [charges]
      ],
      [
        "a wrong amount",
        { charges: [{ ...charge, amountCents: 1 }, ...goodWorld.charges.slice(1)] },
        evidenceOf(goodTasks),
        [charges]
      ],
      ["a lost report", { reports: goodWorld.reports.slice(1) }, evidenceOf(goodTasks), [reports]],
      [
        "a report written twice, though after a failure",
        { reports: [...goodWorld.reports, report] },
        evidenceOf(changed(report.taskId, { attempts: 2, unsuccessful: 1 })),
        [reports]
      ],
      [
        "a report with wrong figures",
        { reports: [{ ...report, right: false }, ...goodWorld.reports.slice(1)] },
        evidenceOf(goodTasks),
        [reports]
      ],
      [
        "a lost task",
        {},
        evidenceOf(goodTasks.filter(({ taskId }) => taskId !== email.messageId.replace(/@.*/, ""))),
        ["every task was scheduled once", repeats]
      ],
      [
        "a task scheduled twice",
        {},
        evidenceOf([...goodTasks, { ...first(goodTasks), taskId: "again" }]),
        ["every task was scheduled once"]
      ],
      ["a task that waits", {}, evidenceOf(changed("task-0", { stage: "pending" })), [ended]],
      ["a parked task", {}, evidenceOf(changed("task-0", { stage: "parked" })), [ended]],
      ["a dead letter", {}, evidenceOf(changed("task-0", { stage: "dead" })), [ended]],
      [
        "an early start",
        {},
        evidenceOf(goodTasks, { earlyStarts: ["task-0 attempt 1 by 2 ms"] }),
        ["nothing started before it was due"]
      ],
      [
        "a violation in the event table",
        {},
        evidenceOf(goodTasks, {
          audit: {
            streams: 1,
            events: 1,
            violations: [{ invariant: "S4", taskId: "task-0", version: 3, message: "x" }]
          }
        }),
        ["the auditor finds the event table in order"]
      ]
    ]
  it.each(faults)("turns red for %s", (_, world, evidence, red) => {
    assert.deepStrictEqual(failing({ ...goodWorld, ...world }, evidence), red)
  })

  it("lets a repeat pass that an unsuccessful attempt explains", () => {
    const taskId = email.messageId.replace(/@.*/, "")
    const world = {
      ...goodWorld,
      emails: [...goodWorld.emails, email],
      charges: [...goodWorld.charges, { ...charge, repeated: true }]
    }
    const explained = new Set([taskId, charge.key])
    const tasks = goodTasks.map((task) =>
      explained.has(task.taskId) ? { ...task, attempts: 2, unsuccessful: 1 } : task
    )
    assert.deepStrictEqual(failing(world, evidenceOf(tasks)), [])
  })
})

describe("the demo's task file", () => {
  const inFolder = <A>(use: (folder: string) => A): A => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-tasks-"))
    try {
      return use(folder)
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  }

  it("is the same for the same seed, another for another, and no key is there twice", () =>
    inFolder((folder) => {
      const write = (name: string, seed: number): ReadonlyArray<AskedTask> => {
        writeTaskFile(path.join(folder, name), { ...plan, seed })
        return readTaskFile(path.join(folder, name))
      }
      const tasks = write("a", 7)
      assert.deepStrictEqual(write("b", 7), tasks)
      assert.notDeepEqual(write("c", 8), tasks)
      const all = [...tasks, ...asked].map(({ key, kind }) => `${kind} ${key}`)
      assert.strictEqual(new Set(all).size, 150)
    }))

  it("names the line that is no task", () =>
    inFolder((folder) => {
      const file = path.join(folder, "tasks.jsonl")
      fs.writeFileSync(file, '{"kind":"a","priority":"low","key":"k","payload":{}}\n{"kind":"a"}\n')
      assert.throws(() => readTaskFile(file), /tasks\.jsonl:2 is not a task/)
    }))
})

describe("the demo's ledger", () => {
  it("keeps what was acknowledged, and cuts off a line that a kill has torn", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-ledger-"))
    const file = path.join(folder, "ledger.jsonl")
    const ledger = openLedger<{ readonly n: number }>(file)
    await Promise.all([1, 2, 3].map((n) => ledger.append({ n })))
    fs.appendFileSync(file, '{"n":4')
    assert.deepStrictEqual(readLedger(file), [{ n: 1 }, { n: 2 }, { n: 3 }])

    const replayed: Array<{ readonly n: number }> = []
    await openLedger<{ readonly n: number }>(file, (entry) => replayed.push(entry)).append({ n: 5 })
    assert.deepStrictEqual(replayed, [{ n: 1 }, { n: 2 }, { n: 3 }])
    assert.deepStrictEqual(readLedger(file), [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 5 }])
    fs.rmSync(folder, { recursive: true })
  })
})
