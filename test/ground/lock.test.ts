import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"

interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      {
        readonly resolved?: string
        readonly link?: boolean
        readonly optionalDependencies?: Readonly<Record<string, string>>
      }
    >
  >
}

const read = (file: string): unknown => JSON.parse(fs.readFileSync(file, "utf8"))

describe("the lock file", () => {
  const { packages } = read("package-lock.json") as Lock

  // npm drops what it could not look up for another platform, and then refuses its own lock file: "Missing: ... from lock file".
  it("names every package of every platform, so that npm ci accepts it", () => {
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
      .filter((name) => !Object.keys(packages).some((at) => at.endsWith(`node_modules/${name}`)))
    assert.deepStrictEqual(missing, [])
  })

  it("names no host, so that it installs from any registry", () => {
    assert.deepStrictEqual(
      Object.values(packages).flatMap(({ link = false, resolved }) =>
        resolved === undefined || link ? [] : [resolved]
      ),
      []
    )
  })
})

describe("package.json", () => {
  it("pins every dependency to one version", () => {
    const versions = ["package.json", "test/package.json"].flatMap((file) => {
      const manifest = read(file) as Record<string, Record<string, string> | undefined>
      return ["dependencies", "devDependencies", "optionalDependencies"].flatMap((field) =>
        Object.entries(manifest[field] ?? {})
      )
    })
    assert.isAbove(versions.length, 0)
    assert.deepStrictEqual(
      versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)),
      []
    )
  })
})
