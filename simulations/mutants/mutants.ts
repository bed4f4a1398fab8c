import type { Mutant } from "./Mutant.ts"
import { directMutants } from "./directMutants.ts"
import { failoverMutants } from "./failoverMutants.ts"
import { orderMutants } from "./orderMutants.ts"
import { otherMutants } from "./otherMutants.ts"
import { outcomeMutants } from "./outcomeMutants.ts"
import { recurrenceMutants } from "./recurrenceMutants.ts"
import { startMutants } from "./startMutants.ts"

export const mutants: ReadonlyArray<Mutant> = [
  ...startMutants,
  ...directMutants,
  ...outcomeMutants,
  ...recurrenceMutants,
  ...failoverMutants,
  ...otherMutants,
  ...orderMutants
]
