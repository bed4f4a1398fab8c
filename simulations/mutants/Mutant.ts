import type { Breakage } from "../world/Breakage.ts"

/** One rule of the protocol that does not hold. It must be found. */
export type Mutant = { readonly name: string; readonly what: string; readonly breakage: Breakage }
