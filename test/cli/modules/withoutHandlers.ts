import { Layer } from "effect"

export const tasks = Layer.empty
