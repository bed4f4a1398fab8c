import type { SchemaDifference } from "../Vitals.ts"
import type { SchemaObject } from "./schemaObjects.ts"

/** What a database has otherwise than the migrations made it, each with the statements that mend it. */
export const differencesOf = (
  wanted: ReadonlyArray<SchemaObject>,
  found: ReadonlyArray<SchemaObject>
): ReadonlyArray<SchemaDifference> => {
  const keyOf = ({ name, type }: SchemaObject) => `${type} ${name}`
  const isThere = new Map(found.map((object) => [keyOf(object), object]))
  const isWanted = new Set(wanted.map(keyOf))
  const goneTables = new Set(
    wanted.filter((object) => object.type === "table" && !isThere.has(keyOf(object))).map(({ name }) => name)
  )
  const differences: Array<SchemaDifference> = []
  for (const object of wanted) {
    const other = isThere.get(keyOf(object))
    // A table that is gone is told once, with all its columns.
    if (object.type === "column" && goneTables.has(tableOf(object))) continue
    if (other === undefined) {
      const statements = object.type === "table" ? [tableStatement(object, wanted)] : [make(object)]
      differences.push({ object: keyOf(object), difference: "missing", statements })
    } else if (object.type !== "table" && other.definition !== object.definition) {
      differences.push({ object: keyOf(object), difference: "changed", statements: change(object) })
    }
  }
  const newTables = new Set(
    found.filter((object) => object.type === "table" && !isWanted.has(keyOf(object))).map(({ name }) => name)
  )
  for (const object of found) {
    if (isWanted.has(keyOf(object)) || (object.type !== "table" && newTables.has(tableOf(object)))) continue
    differences.push({ object: keyOf(object), difference: "extra", statements: [drop(object)] })
  }
  return differences
}

const tableOf = ({ definition, name, type }: SchemaObject): string =>
  type === "index" ? (/ ON (?:ONLY )?duetime\.(\w+)/.exec(definition)?.[1] ?? "") : (name.split(".")[0] ?? "")
const partOf = ({ name }: SchemaObject): string => name.split(".")[1] ?? ""

const tableStatement = (table: SchemaObject, wanted: ReadonlyArray<SchemaObject>): string =>
  table.definition.replace(
    "()",
    `(${wanted
      .filter((object) => object.type === "column" && tableOf(object) === table.name)
      .map((column) => `${partOf(column)} ${column.definition}`)
      .join(", ")})`
  )

const make = (object: SchemaObject): string =>
  object.type === "column"
    ? `ALTER TABLE duetime.${tableOf(object)} ADD COLUMN ${partOf(object)} ${object.definition}`
    : object.definition

const drop = (object: SchemaObject): string => {
  switch (object.type) {
    case "column":
      return `ALTER TABLE duetime.${tableOf(object)} DROP COLUMN ${partOf(object)}`
    case "constraint":
      return `ALTER TABLE duetime.${tableOf(object)} DROP CONSTRAINT ${partOf(object)}`
    case "trigger":
      return `DROP TRIGGER ${partOf(object)} ON duetime.${tableOf(object)}`
    default:
      return `DROP ${object.type.toUpperCase()} duetime.${object.name}`
  }
}

/** Functions and views are replaced in place. A column is given its type, its default and whether it may be null. */
const change = (object: SchemaObject): ReadonlyArray<string> => {
  if (object.type === "function" || object.type === "view") return [object.definition]
  if (object.type !== "column") return [drop(object), make(object)]
  const [, type = "", fallback, notNull] = /^(.+?)(?: DEFAULT (.+?))?( NOT NULL)?$/.exec(object.definition) ?? []
  const column = `ALTER COLUMN ${partOf(object)}`
  const steps = [
    ...(type.includes(" GENERATED ")
      ? []
      : [
          `${column} TYPE ${type}`,
          fallback === undefined ? `${column} DROP DEFAULT` : `${column} SET DEFAULT ${fallback}`
        ]),
    notNull === undefined ? `${column} DROP NOT NULL` : `${column} SET NOT NULL`
  ]
  return [`ALTER TABLE duetime.${tableOf(object)} ${steps.join(", ")}`]
}
