import { BaseSequencer, type TestSpecification } from "vitest/node"

/**
 * The files that take minutes begin first, or the last of them keeps one worker while the other has nothing left. Vitest does the same by
 * the durations of the last run, which a fresh clone and CI have none of: there it goes by the size of a file, and chaos.test.ts, which
 * waits for two minutes of faults, is a small one.
 */
export const slow: ReadonlyArray<string> = [
  "test/simulations/chaos.test.ts",
  "test/store/postgres/contract.test.ts",
  "test/system/kafka.test.ts",
  "test/package/package.test.ts",
  "test/broker/kafka/KafkaFaults.test.ts",
  "test/simulations/legs.test.ts",
  "test/simulations/world.test.ts",
  "test/simulations/differential.test.ts",
  "test/simulations/simulateCommand.test.ts",
  "test/system/recurrences.test.ts",
  "test/embedded/EmbeddedKafka.test.ts",
  "test/examples/demoCluster.test.ts",
  "test/simulations/crashPoints.test.ts",
  "test/system/databaseRoles.test.ts",
  "test/system/soak.test.ts",
  "test/simulations/breakages.test.ts"
]

export class SlowFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = slow.findIndex((file) => moduleId.endsWith(`/${file}`))
      return rank < 0 ? slow.length : rank
    }
    // Vitest's own method, not an array's.
    // oxlint-disable-next-line unicorn/no-array-sort
    const sorted = await super.sort(files)
    return sorted.toSorted((one, other) => rankOf(one) - rankOf(other))
  }
}
