/**
 * The four priorities, most urgent first. A priority is a lane of its own from the claim index to the
 * broker's topics, so a marketing email can never stand in front of an overdue payment.
 */
export const priorities = ["critical", "high", "normal", "low"] as const

export type Priority = (typeof priorities)[number]

/** Rank of a priority: 0 is the most urgent. Stored as `priority smallint`. */
export const rankOf = (priority: Priority): number => priorities.indexOf(priority)

/** The priority of a stored rank; an unknown rank reads as the least urgent, so that nothing is lost. */
export const priorityOf = (rank: number): Priority => priorities[rank] ?? "low"

export const isPriority = (value: unknown): value is Priority => priorities.some((priority) => priority === value)
