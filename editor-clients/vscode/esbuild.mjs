// Bundles the extension and the page of its chat view, and gathers the licences of what is bundled.
import { build } from "esbuild";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const common = { bundle: true, minify: true, metafile: true, legalComments: "none", logLevel: "warning" };

const bundles = await Promise.all([
  build({
    ...common,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    external: ["vscode"],
    format: "cjs",
    platform: "node",
    target: "node20",
  }),
  build({ ...common, entryPoints: ["webview/chat.ts"], outfile: "dist/chat.js", format: "iife", target: "es2022" }),
]);

writeFileSync("dist/LICENSES.txt", bundles.flatMap(packagesOf).filter(first).map(licenceOf).join("\n\n"));

function packagesOf({ metafile }) {
  const folders = Object.keys(metafile.inputs).map((path) => path.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]);
  return folders.filter((folder) => folder !== undefined);
}

function first(folder, place, all) {
  return all.indexOf(folder) === place;
}

function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = ["LICENSE", "LICENSE.md", "License.txt", "LICENSE.txt"].map((each) => `${folder}/${each}`).find(existsSync);
  return `${name} ${version} (${license})\n\n${file ? readFileSync(file, "utf8").trim() : "No licence text comes with it."}`;
}
