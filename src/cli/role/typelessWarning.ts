/** Node's word at each start for a folder that `npm install` has made: it says no type of its modules. */
const code = "MODULE_TYPELESS_PACKAGE_JSON"

/** Loads without that warning, and with all others. A flag of Node's would need a process of its own. */
export const withoutTypelessWarning = <A>(load: () => Promise<A>): Promise<A> => {
  const { emitWarning } = process
  const filtered = (...warning: ReadonlyArray<unknown>): void => {
    if (!warning.some(isTypeless)) Reflect.apply(emitWarning, process, warning)
  }
  process.emitWarning = filtered
  return load().finally(() => {
    // What is loaded may have put its own in the place.
    if (process.emitWarning === filtered) process.emitWarning = emitWarning
  })
}

const isTypeless = (given: unknown): boolean =>
  given === code || (typeof given === "object" && given !== null && "code" in given && given.code === code)
