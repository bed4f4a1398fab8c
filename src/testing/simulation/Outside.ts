/** What handlers under simulation call over a network: it happens there, whatever becomes of the answer and of the caller. */
import { Context, Data, Effect } from "effect"
import { attemptOfFiber, type By, type Kept, type Reach } from "./Kept.ts"

/** Whatever handlers call over a network. */
export class Outside extends Context.Service<Outside, Reach>()("duetime/testing/Outside") {
  /**
   * A service somewhere else. `answer` is what it says to a request that it has not seen before, given those before it; it is asked once
   * per effect, in one step, and must be synchronous. Throw for a refusal: the handler gets `OutsideRefused`, and nothing was done.
   */
  static readonly service = <Request, Answer>(
    name: string,
    answer: (request: Request, earlier: ReadonlyArray<OutsideEffect<Request, Answer>>) => Answer
  ): OutsideService<Request, Answer> => new OutsideService(name, answer)
}

export type OutsideEffect<Request, Answer> = By & {
  readonly request: Request
  readonly key: string | null
  readonly answer: Answer
  /** Calls with the same key after the first, which changed nothing. */
  readonly repeatsCount: number
}

/** The outside said no; nothing was done there. */
export class OutsideRefused extends Data.TaggedError("OutsideRefused")<{
  readonly service: string
  readonly reason: string
}> {
  override get message(): string {
    return `${this.service} refused: ${this.reason}`
  }
}

/** No answer: the outside may have done it or not. */
export class OutsideUnavailable extends Data.TaggedError("OutsideUnavailable")<{
  readonly service: string
  readonly reason: string
}> {
  override get message(): string {
    return `${this.service} gave no answer: ${this.reason}`
  }
}

export class OutsideService<Request, Answer> {
  readonly name: string
  readonly #answer: (request: Request, earlier: ReadonlyArray<OutsideEffect<Request, Answer>>) => Answer
  readonly #effects = new WeakMap<Kept, Array<OutsideEffect<Request, Answer>>>()

  constructor(
    name: string,
    answer: (request: Request, earlier: ReadonlyArray<OutsideEffect<Request, Answer>>) => Answer
  ) {
    this.name = name
    this.#answer = answer
  }

  /** With a key that it has seen before, it answers as it did then and does nothing. */
  call(
    request: Request,
    { key = null }: { readonly key?: string | null } = {}
  ): Effect.Effect<Answer, OutsideUnavailable | OutsideRefused, Outside> {
    return Effect.gen({ self: this }, function* () {
      const outside = yield* Outside
      const { attempt, taskId } = yield* attemptOfFiber
      const asked = structuredClone(request)
      const said = yield* outside
        .call(() => {
          const by = { taskId, attempt, node: outside.node, atMs: outside.nowMs() }
          outside.note(`calls ${this.name} ${JSON.stringify(asked)}`)
          return this.#done(outside.kept, by, asked, key)
        })
        .pipe(Effect.mapError(({ reason }) => new OutsideUnavailable({ service: this.name, reason })))
      if ("refusal" in said) return yield* new OutsideRefused({ service: this.name, reason: said.refusal })
      return said.answer
    })
  }

  /** What was really done there in a history that is over: one entry per effect, not per call. */
  in({ kept }: { readonly kept: Kept }): ReadonlyArray<OutsideEffect<Request, Answer>> {
    return this.#effectsOf(kept)
  }

  #done(
    kept: Kept,
    by: By,
    request: Request,
    key: string | null
  ): { readonly answer: Answer } | { readonly refusal: string } {
    const effects = this.#effectsOf(kept)
    const text = `calls ${this.name}: ${JSON.stringify(request)}${key === null ? "" : `, key ${key}`}`
    const index = key === null ? -1 : effects.findIndex((effect) => effect.key === key)
    const known = effects[index]
    if (known !== undefined) {
      effects[index] = { ...known, repeatsCount: known.repeatsCount + 1 }
      kept.deeds.push({ ...by, text: `${text} (again: nothing is done)` })
      return { answer: structuredClone(known.answer) }
    }
    try {
      const answer = this.#answer(request, effects)
      effects.push({ ...by, request, key, answer, repeatsCount: 0 })
      kept.deeds.push({ ...by, text })
      return { answer: structuredClone(answer) }
    } catch (error) {
      kept.deeds.push({ ...by, text: `${text} (refused)` })
      return { refusal: error instanceof Error ? error.message : String(error) }
    }
  }

  #effectsOf(kept: Kept): Array<OutsideEffect<Request, Answer>> {
    const effects = this.#effects.get(kept) ?? []
    this.#effects.set(kept, effects)
    return effects
  }
}
