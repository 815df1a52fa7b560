// Listens at the Unix socket STARCHAT_PROBE.  A line in is {id, code}: the body of an async function that sees `vscode`; a line out is {id, value} or {id, error}.
const net = require("node:net");
const { createInterface } = require("node:readline");
const fs = require("node:fs");
const vscode = require("vscode");

const AsyncFunction = async function () {}.constructor;

exports.activate = (context) => {
  const path = process.env.STARCHAT_PROBE;
  fs.rmSync(path, { force: true }); // of the window before
  const server = net.createServer((line) => {
    createInterface(line).on("line", async (text) => line.write(`${JSON.stringify(await reply(JSON.parse(text)))}\n`));
    line.on("error", () => {});
  });
  server.listen(path);
  context.subscriptions.push({ dispose: () => server.close() });
};

async function reply({ id, code, given }) {
  try {
    return { id, value: (await new AsyncFunction("vscode", "given", code)(vscode, given)) ?? null };
  } catch (error) {
    return { id, error: String(error?.stack ?? error) };
  }
}
