// Bundles the library into one classic script: evidence/static/sdk.js, or the file named as argument.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
const { version } = JSON.parse(await readFile(new URL("package.json", here)));
const outfile = process.argv[2] ?? fileURLToPath(new URL("../evidence/static/sdk.js", here));

/** Lets the CSS parser of rrweb-snapshot's replay side go: it is half of the bundle and never runs here. */
const snapshotOnly = {
  name: "snapshot-only",
  setup({ onLoad }) {
    onLoad({ filter: /rrweb-snapshot\.js$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const pure = "/* @__PURE__ */";
      const contents = source
        .replace(/^(var import_postcss = .*?__toESM\()/m, `$1${pure} `)
        .replace(/^import_postcss\.default\.\w+;$/gm, "")
        .replace(/^(var \w+ = )(import_postcss\.default);$/gm, `$1${pure} (() => $2)();`);
      return { contents, loader: "js" };
    });
  },
};

await build({
  absWorkingDir: fileURLToPath(here),
  entryPoints: ["src/index.ts"],
  outfile,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  legalComments: "none",
  define: { SDK_VERSION: JSON.stringify(version) },
  plugins: [snapshotOnly],
  banner: {
    js:
      `/*! leadgate sdk ${version}, Apache-2.0. ` +
      "Contains rrweb-snapshot, Copyright (c) 2018 Contributors (https://github.com/rrweb-io/rrweb/graphs/contributors) " +
      "and SmartX Inc., MIT: https://github.com/rrweb-io/rrweb/blob/main/LICENSE */",
  },
});
