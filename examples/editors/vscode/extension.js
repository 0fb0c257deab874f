// Starts `weir lsp` for .weir files. Everything else is the server's.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = function () {
  const command = workspace.getConfiguration("weir").get("path");
  client = new LanguageClient("weir", "Weir", { command, args: ["lsp"] }, { documentSelector: [{ language: "weir" }] });
  return client.start();
};

exports.deactivate = function () {
  return client && client.stop();
};
