import type { Session } from "../store/Session.ts"

/**
 * What an engine does each second it does in the same millisecond: a process that sleeps pays for each time it is woken, caches cold.
 * The main thread of an idle one is so woken 5 times a second and not 9, and takes 4.6 ms of processor time and not 5.7, of which a part
 * is the statement that the look has spared. Every session has another phase, so that the engines of one machine do not all look for
 * the same expired lease at once.
 */
export class Beat {
  readonly #monotonicMs: () => number
  readonly #session: Pick<Session["Service"], "id">

  constructor(monotonicMs: () => number, session: Pick<Session["Service"], "id">) {
    this.#monotonicMs = monotonicMs
    this.#session = session
  }

  /** Whole milliseconds until the next beat; the one that is here has been heard. At most the interval and `heardMs`. */
  inMs(intervalMs: number = beatMs): number {
    const phaseMs = (this.#session.id() * phaseStepMs) % intervalMs
    const restMs = intervalMs - ((this.#monotonicMs() + intervalMs - phaseMs) % intervalMs)
    return Math.ceil(restMs < heardMs ? restMs + intervalMs : restMs)
  }

  /** For a pause that may be longer: until the beat if it comes within `slackMs` after the pause, else the pause. */
  joinedMs(pauseMs: number, slackMs: number): number {
    const beatInMs = this.inMs()
    const nextInMs = beatInMs + Math.max(0, Math.ceil((pauseMs - beatInMs) / beatMs)) * beatMs
    return nextInMs <= pauseMs + slackMs ? nextInMs : pauseMs
  }
}

export const beatMs = 1_000
/** The golden section of a second: any few sessions, whose ids follow each other, are spread over it. */
const phaseStepMs = 618
/** Timers come up to a millisecond early, and a beat is one for all that comes in the same moment. */
const heardMs = 10
