import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Option } from "effect"
import * as fs from "node:fs"
import * as KafkaSettings from "../../src/broker/kafka/KafkaSettings.ts"
import * as EngineConfig from "../../src/engine/EngineConfig.ts"
import { leaseMsDefault } from "../../src/store/Session.ts"
import { retentionDaysDefault } from "../../src/store/postgres/partitionPlan.ts"

/** Rows `| \`VARIABLE\` | \`default\` | meaning |`. */
const documented = new Map(
  [
    ...fs
      .readFileSync("docs/reference/config.md", "utf8")
      .matchAll(/^\| `(DUETIME_\w+)` \| (?:`([^`]+)`)? ?\| \S.* \|$/gm)
  ].map(([, name = "", value = ""]) => [name, value])
)

const sources = fs
  .readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => fs.readFileSync(`src/${file}`, "utf8"))

describe("docs/reference/config.md", () => {
  it("tells every variable that the sources name, and no other", () => {
    const named = new Set(sources.flatMap((text) => text.match(/\bDUETIME_[A-Z]+(_[A-Z]+)*\b/g) ?? []))
    assert.sameMembers([...documented.keys()], [...named])
  })

  it.effect("states defaults that are those of the code", () =>
    Effect.gen(function* () {
      const env = Object.fromEntries([...documented].filter(([, value]) => value !== ""))
      assert.deepStrictEqual(yield* EngineConfig.config.parse(ConfigProvider.fromEnv({ env })), EngineConfig.defaults)
      const kafka = { ...env, DUETIME_KAFKA_BROKERS: "a:9092, b:9093" }
      assert.deepStrictEqual(
        yield* KafkaSettings.config.parse(ConfigProvider.fromEnv({ env: kafka })),
        Option.some({ ...KafkaSettings.defaults, brokers: ["a:9092", "b:9093"] })
      )
      assert.strictEqual(env["DUETIME_LEASE"], `${Duration.toSeconds(leaseMsDefault)} seconds`)
      assert.strictEqual(env["DUETIME_RETENTION_DAYS"], String(retentionDaysDefault))
    })
  )
})
