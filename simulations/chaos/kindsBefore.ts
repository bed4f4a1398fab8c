/**
 * The kinds as they were one revision ago, for the worker and the client that have not been deployed anew: no `Fresh`, no note in
 * a plain task, which was given less time, and more attempts for what is doomed. All else is the same.
 */
import { RetryPolicy, Task } from "../../src/index.ts"
import { deathsMax, Doomed, doomedAttemptsMax, payload, persistent, Plain, queue } from "./kinds.ts"

export const PlainBefore = Task.define(Plain.kind, {
  payload,
  queue,
  timeout: "3 seconds",
  retry: persistent,
  deathsMax
})

export const DoomedBefore = Task.define(Doomed.kind, {
  payload,
  queue,
  timeout: "4 seconds",
  deathsMax,
  retry: RetryPolicy.fixed({ delay: "200 millis", attemptsMax: doomedAttemptsMax.before })
})
