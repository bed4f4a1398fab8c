/** Instants and local times are milliseconds since 1970; a local time is written as if it were UTC. */
export const secondMs = 1_000
export const minuteMs = 60_000
export const hourMs = 3_600_000
export const dayMs = 86_400_000

/** Recurrences know the years 1900 to 2999; `next` gives null after that. */
export const minMs = Date.UTC(1900, 0)
export const maxMs = Date.UTC(3000, 0)
