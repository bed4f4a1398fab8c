/**
 * A **death** of a task: the session of its running attempt was lost, because the worker's process was killed, crashed or
 * froze, or was cut off from the database alone. Any other end of an attempt shows that the process has survived it, and the count
 * begins anew. A process takes all its running tasks along, so one death says little of a task, and many in a row say
 * that it may be what kills.
 */

/** Deaths in a row after which a task is a dead letter. As Sidekiq's detection of poison pills. */
export const deathsMaxDefault = 3
/** Largest limit of a policy, and the number up to which deaths are counted. */
export const deathsMaxLimit = 1_000

/**
 * Deaths that make a task a suspect, of which a worker runs one at a time. After one all that ran in a killed process would be
 * suspects, and rerunning them one by one would stop the service. Two are rare for an innocent task; so when a process
 * dies and its suspect reaches three, no other task that it ran does.
 */
export const suspectDeathsMin = 2

export const isSuspect = (deaths: number): boolean => deaths >= suspectDeathsMin

/** Deaths in a row after one more. */
export const deathsAfter = (deaths: number): number => Math.min(deaths + 1, deathsMaxLimit)

export const isQuarantined = (deathsMax: number, deaths: number): boolean => deaths >= deathsMax
