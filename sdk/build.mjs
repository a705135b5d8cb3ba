// Bundles the library into one classic script: evidence/static/sdk.js, or the file named as argument.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
const { version } = JSON.parse(await readFile(new URL("package.json", here)));
const outfile = process.argv[2] ?? fileURLToPath(new URL("../evidence/static/sdk.js", here));

/** What is changed of rrweb-snapshot; each must match, so a new version is looked at again. */
const patches = [
  // Its replay side brings a CSS parser, half of the bundle, which never runs here: let it be shaken off.
  [/^(var import_postcss = .*?__toESM\()/m, "$1/* @__PURE__ */ "],
  [/^import_postcss\.default\.\w+;$/gm, ""],
  [/^(var \w+ = )(import_postcss\.default);$/gm, "$1/* @__PURE__ */ (() => $2)();"],
  // It takes methods for accessors, finds them missing, and puts a frame into the page to get clean ones.
  [/("shadowRoot"),\s*"querySelector",\s*"querySelectorAll"/, "$1"],
  [/(ShadowRoot: \[)"getSelection"/, "$1"],
];

const patched = {
  name: "patched",
  setup({ onLoad }) {
    onLoad({ filter: /rrweb-snapshot\.js$/ }, async ({ path }) => {
      let contents = await readFile(path, "utf8");
      for (const [pattern, replacement] of patches) {
        if (contents.search(pattern) < 0) throw new Error(`rrweb-snapshot has changed: ${pattern}`);
        contents = contents.replace(pattern, replacement);
      }
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
  plugins: [patched],
  banner: {
    js:
      `/*! leadgate sdk ${version}, Apache-2.0. ` +
      "Contains rrweb-snapshot, Copyright (c) 2018 Contributors (https://github.com/rrweb-io/rrweb/graphs/contributors) " +
      "and SmartX Inc., MIT: https://github.com/rrweb-io/rrweb/blob/main/LICENSE */",
  },
});
