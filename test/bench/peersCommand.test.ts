import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { peersRunOf } from "../../bench/peers/besidePeers.ts"
import { nameOf, obstacleOf, peers, peersOf } from "../../bench/peers/peers.ts"

const read = (file: string): unknown => JSON.parse(fs.readFileSync(file, "utf8"))
const { dependencies: pinned } = read("bench/package.json") as { readonly dependencies: Record<string, string> }

describe("the peers' own package.json", () => {
  it("pins each to one version and has every package that a peer needs", () => {
    assert.deepStrictEqual(
      Object.values(pinned).filter((version) => !/^\d+\.\d+\.\d+$/.test(version)),
      []
    )
    assert.includeMembers(
      Object.keys(pinned),
      Object.values(peers).flatMap(({ packages }) => packages)
    )
  })

  it("has a lock file that names no host", () => {
    const { packages } = read("bench/package-lock.json") as { readonly packages: Record<string, { resolved?: string }> }
    assert.deepStrictEqual(
      Object.keys(packages).filter((at) => packages[at]?.resolved !== undefined),
      []
    )
  })
})

describe("bench -- <scenario> --peers", () => {
  const installed = (name: string) => pinned[name]

  it("runs where everything is there", () => {
    assert.isUndefined(obstacleOf(["pg-boss", "graphile-worker", "bullmq", "effect-queue"], installed, () => true))
  })

  it("tells what is not installed and the way out", () => {
    assert.strictEqual(
      obstacleOf(
        ["pg-boss"],
        () => undefined,
        () => true
      ),
      `pg-boss ${pinned["pg-boss"]} is not installed; run npm run bench:install`
    )
  })

  it("measures no other version than the pinned one", () => {
    assert.match(
      obstacleOf(
        ["bullmq"],
        (name) => (name === "bullmq" ? "6.0.0" : pinned[name]),
        () => true
      ) ?? "",
      /^bullmq [\d.]+ is there as 6\.0\.0; run npm run bench:install$/
    )
  })

  it("asks for a Redis only when somebody needs it", () => {
    assert.match(obstacleOf(["bullmq"], installed, () => false) ?? "", /redis-server is not on the PATH; install Redis/)
    assert.isUndefined(obstacleOf(["pg-boss"], installed, () => false))
  })

  it("refuses peers, modes and scenarios that it does not know, with those that it does", () => {
    assert.match(
      String(peersOf("pg-boss,celery")),
      /no peer "celery"; choose among pg-boss, graphile-worker, bullmq, effect-queue/
    )
    assert.match(String(peersRunOf("throughput", "effect-queue", "fastest")), /no mode "fastest"/)
    assert.match(String(peersRunOf("claim", "pg-boss", "fast")), /"claim" does not run beside peers/)
  })

  it("puts duetime first, and each peer in the modes asked for that it has", () => {
    const run = peersRunOf("drift", "effect-queue", "fast,batch-100,default")
    assert.deepStrictEqual(typeof run === "object" ? run.contestants.map(nameOf) : run, [
      "duetime",
      "effect-queue fast",
      "effect-queue default"
    ])
  })

  it("leaves scenarios without peers as they are, except the spike, which runs with duetime alone", () => {
    assert.isUndefined(peersRunOf("throughput", undefined, "fast"))
    assert.isUndefined(peersRunOf("claim", undefined, "fast"))
    const run = peersRunOf("spike", undefined, "fast")
    assert.deepStrictEqual(typeof run === "object" ? run.contestants.map(nameOf) : run, ["duetime"])
  })
})
