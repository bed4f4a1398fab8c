import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer, Option } from "effect"
import * as fs from "node:fs"
import * as KafkaSettings from "../../src/broker/kafka/KafkaSettings.ts"
import * as EngineConfig from "../../src/engine/EngineConfig.ts"
import { layerClient } from "../../src/layers.ts"
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

const meanings = new Map(
  [...fs.readFileSync("docs/reference/config.md", "utf8").matchAll(/^\| `(DUETIME_\w+)` \|[^|]*\| (.*) \|$/gm)].map(
    ([, name = "", meaning = ""]) => [name, meaning]
  )
)

const unitMs: Readonly<Record<string, number>> = { ms: 1, second: 1_000, minute: 60_000 }
const numberPattern = "(\\d[\\d,]*)(?: (ms|second|minute)s?)?"

/** What the last sentence that names two ends allows, in the unit of the variable: milliseconds or a count. */
const limitsOf = (meaning: string): { readonly ends: readonly [number, number]; readonly unit: string } | null => {
  const found = [...meaning.matchAll(new RegExp(`${numberPattern} to ${numberPattern}[.:,; ]`, "g"))].at(-1)
  if (found === undefined) return null
  const [, least = "", leastUnit, most = "", mostUnit] = found
  const scale = (unit: string | undefined) => (unit === undefined ? 1 : (unitMs[unit] ?? NaN))
  const valueOf = (text: string) => Number(text.replaceAll(",", ""))
  return {
    ends: [valueOf(least) * scale(leastUnit ?? mostUnit), valueOf(most) * scale(mostUnit)],
    unit: mostUnit === undefined ? "" : " millis"
  }
}

/** Whether a program starts with it, as far as the database, which is not there. */
const isAllowed = (name: string, value: string) => {
  const env = {
    DUETIME_DATABASE_URL: "postgresql://nobody@127.0.0.1:1/none",
    DUETIME_KAFKA_BROKERS: "127.0.0.1:1",
    // Above the least of the window's greatest, or it would be refused for that.
    ...(name === "DUETIME_WINDOW_TASKS_MIN" ? { DUETIME_WINDOW_TASKS_MAX: "100000" } : {}),
    [name]: value
  }
  return Layer.build(layerClient).pipe(
    Effect.scoped,
    Effect.flip,
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
    Effect.map(({ _tag }) => _tag !== "ConfigInvalid")
  )
}

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

  const limited = [...meanings].flatMap(([name, meaning]) => {
    // The health page's port is read by the roles alone.
    const limits = name.startsWith("DUETIME_HEALTH") ? null : limitsOf(meaning)
    return limits === null || name === "DUETIME_KAFKA_PREFIX" ? [] : [{ name, ...limits }]
  })

  it("names limits of a dozen variables", () => {
    assert.isAtLeast(limited.length, 12)
  })

  for (const { ends, name, unit } of limited) {
    it.live(`states limits of ${name} that the code holds`, () =>
      Effect.gen(function* () {
        const [least, most] = ends
        for (const value of [least, most]) assert.isTrue(yield* isAllowed(name, `${value}${unit}`), `${value}${unit}`)
        for (const value of [least - 1, most + 1])
          assert.isFalse(yield* isAllowed(name, `${value}${unit}`), `${value}${unit}`)
      })
    )
  }
})
