/** The service that makes reports: `duetime worker --tasks reportsTasks.ts`. */
import { reportService } from "../reports.ts"

export const tasks = reportService
