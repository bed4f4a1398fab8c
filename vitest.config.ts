import { defineConfig } from "vitest/config"
import { SlowFirst } from "./test/setup/SlowFirst.ts"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "simulations/**/*.test.ts"],
    // Vitest leaves one core free, and half of these tests wait for servers and processes of their own.
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
    globalSetup: ["test/setup/postgresServers.ts", "test/setup/kafkaServer.ts"],
    // A test that waits for a process or a server, on a machine that is busy with something else.
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
