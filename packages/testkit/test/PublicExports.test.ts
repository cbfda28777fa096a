import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, assert, beforeEach, describe, expectTypeOf, it } from "vitest"
import * as PublicExports from "../src/PublicExports.ts"

/** A package as it is built: two entries, a pattern, and folders that are closed. */
const files = {
  "package.json": JSON.stringify({
    name: "shop",
    exports: {
      ".": { types: "./dist/index.d.ts" },
      "./tools": { types: "./dist/tools/index.d.ts" },
      "./*": { types: "./dist/*.d.ts" },
      "./index": null,
      "./tools/*": null,
      "./package.json": "./package.json"
    }
  }),
  "dist/index.d.ts": `
/** @since 0.1.0 */
export * as Till from "./Till.ts";
export * from "./tools/Hammer.ts";
/** @since 0.3.0 */
export { Lock } from "locks";
`,
  "dist/Till.d.ts": `
/**
 * What it is.
 *
 * @since 0.1.0
 */
export interface Till {
    readonly coins?: number | undefined;
    readonly open: (options?: { readonly by?: string }) => void;
}
/** @since 0.1.0 */
export declare const Till: unique symbol;
/** Without a version. */
export declare const make: (options?: Partial<Till>) => Till;
export { Drawer } from "./internal/drawer.ts";
`,
  "dist/internal/drawer.d.ts": `
declare const Drawer_base: new () => object;
/** @since 0.2.0 */
export declare class Drawer extends Drawer_base {
}
/** @since 0.2.0 */
export type Hidden = string;
`,
  "dist/tools/index.d.ts": `
/** @since 0.1.0 */
export * as Hammer from "./Hammer.ts";
`,
  "dist/tools/Hammer.d.ts": `
/** @since 0.1.0 */
export type Settings = {
    readonly [Name in "weight" | "length"]?: number;
};
/** @since soon */
export declare function strike(): void;
export {};
`
}

const listed = `shop
  Lock: of locks
  Settings: type
  Till: namespace of shop/Till
  strike: function

shop/tools
  Hammer: namespace
  Hammer.Settings: type
  Hammer.strike: function

shop/Till
  Drawer: class
  Till: interface, const
  make: function
`

describe("PublicExports", () => {
  let folder: string
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "exports-"))
    for (const [file, text] of Object.entries(files)) write(file, text)
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it("lists what can be imported from each entry, and nothing of what is closed", () => {
    assert.strictEqual(PublicExports.print(PublicExports.read(folder)), listed)
  })

  it("is content with the list that is pinned", () => {
    write("exports.txt", listed)
    assert.deepStrictEqual(PublicExports.changes(folder), [])
  })

  it("tells what came, what went and what became another kind, with its entry", () => {
    write("exports.txt", listed)
    write(
      "dist/Till.d.ts",
      files["dist/Till.d.ts"].replace("const make: (", "const made: (").replace("interface Till", "class Till")
    )
    assert.deepStrictEqual(PublicExports.changes(folder), [
      "exported, and not pinned: shop/Till Till: class, const",
      "exported, and not pinned: shop/Till made: function",
      "pinned, and not exported: shop/Till Till: interface, const",
      "pinned, and not exported: shop/Till make: function"
    ])
  })

  it("tells of an entry that came, and of a list that is missing", () => {
    assert.strictEqual(PublicExports.changes(folder).length, 10)
    write("exports.txt", listed)
    write("dist/Bag.d.ts", "/** @since 0.1.0 */\nexport type Bag = string;\n")
    assert.deepStrictEqual(PublicExports.changes(folder), ["exported, and not pinned: shop/Bag Bag: type"])
  })

  it("names what does not say since which version it is there", () => {
    assert.deepStrictEqual(PublicExports.withoutSince(folder), [
      "shop strike",
      "shop/tools Hammer.strike",
      "shop/Till make"
    ])
  })

  it("names optional fields that refuse undefined, nested and mapped ones too", () => {
    assert.deepStrictEqual(PublicExports.strictFields(folder), [
      "shop Settings.Name",
      "shop/tools Hammer.Settings.Name",
      "shop/Till Till.by"
    ])
  })
  it("knows of a type which of its optional fields refuse undefined, inherited ones too", () => {
    interface Base {
      readonly inherited?: string
      readonly required: string
    }
    interface Options extends Base {
      readonly own?: number
      readonly lax?: number | undefined
    }
    expectTypeOf<PublicExports.StrictFields<Options>>().toEqualTypeOf<"inherited" | "own">()
    expectTypeOf<PublicExports.StrictFields<Pick<Options, "lax" | "required">>>().toEqualTypeOf<never>()
  })
})
