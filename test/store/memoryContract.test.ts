import { Effect, Layer } from "effect"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
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
