import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "simulations/**/*.test.ts"],
    globalSetup: ["test/setup/postgresServers.ts", "test/setup/kafkaServer.ts"],
    // A test that waits for a process or a server, on a machine that is busy with something else.
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
