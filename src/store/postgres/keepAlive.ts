/**
 * Idle time after which a connection's kernel asks whether the server is still there; ten questions, a second apart, may stay
 * unanswered. So whoever waits for an answer that a network has lost hears of it after 15 s, however long statements may take.
 * What was sent and never arrived is given up by TCP itself, after up to a quarter of an hour on Linux.
 */
export const keepAliveMs = 5_000
