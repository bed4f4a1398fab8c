import { Effect, Layer } from "effect"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { RecurrenceControl } from "./contract/recurrenceWorld.ts"
import { recurrenceStoreContract } from "./RecurrenceStore.contract.ts"
import { StoreControl, taskStoreContract } from "./TaskStore.contract.ts"

const control = Layer.effect(
  StoreControl,
  Effect.map(MemoryStore.MemoryControl, ({ failNext, hastenAsk, killSession, leaveSession, openSession }) => ({
    failNext: (fault) => failNext(fault),
    hastenAsk,
    killSession,
    leaveSession,
    secondSession: openSession,
    auditRows: Effect.succeed([])
  }))
)

taskStoreContract("the memory store", Layer.provideMerge(control, MemoryStore.layer))

const recurrenceControl = Layer.effect(
  RecurrenceControl,
  Effect.map(MemoryStore.MemoryControl, ({ rewind }) => ({ rewind }))
)

recurrenceStoreContract(
  "the memory store",
  Layer.mergeAll(control, recurrenceControl).pipe(Layer.provideMerge(MemoryStore.layer))
)
