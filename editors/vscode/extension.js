// Starts `sparknet lsp` and leaves everything else to it.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const command = workspace.getConfiguration("sparknet").get("command");
  const run = { command, args: ["lsp"] };
  client = new LanguageClient("sparknet", "SparkNet", run, { documentSelector: [{ language: "sparknet" }] });
  return client.start();
};

exports.deactivate = () => client && client.stop();
