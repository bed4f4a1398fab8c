import { Context, Effect, Layer } from "effect"

class Mailer extends Context.Service<Mailer, object>()("test/Mailer") {}

export const tasks = Layer.effectDiscard(Effect.asVoid(Mailer))
