import type { Mutant } from "./Mutant.ts"
import { orderMutants } from "./orderMutants.ts"
import { otherMutants } from "./otherMutants.ts"
import { outcomeMutants } from "./outcomeMutants.ts"
import { startMutants } from "./startMutants.ts"

export const mutants: ReadonlyArray<Mutant> = [...startMutants, ...outcomeMutants, ...otherMutants, ...orderMutants]
