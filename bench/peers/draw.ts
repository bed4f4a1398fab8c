import * as vega from "vega"
import { compile, type TopLevelSpec } from "vega-lite"

/** The SVG of a Vega-Lite specification (JSON). The same text gives the same drawing: no canvas, no fonts of the machine, no clock. */
export const draw = async (specification: string): Promise<string> => {
  const spec: TopLevelSpec = JSON.parse(specification)
  // Gradients and clips are numbered over the whole process.
  vega.resetSVGDefIds()
  const view = new vega.View(vega.parse(compile(spec).spec), { renderer: "none" })
  const svg = await view.toSVG()
  view.finalize()
  return svg
}
