// The document of the chat view: static, with the strictest policy under which its own script and style load.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";

export function page(webview: vscode.Webview, extension: vscode.Uri): string {
  const nonce = randomBytes(16).toString("base64");
  const at = (...path: string[]): string => webview.asWebviewUri(vscode.Uri.joinPath(extension, ...path)).toString();
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'">
<link rel="stylesheet" href="${at("media", "chat.css")}">
<title>StarChat</title>
</head>
<body>
<main id="log" role="log" aria-label="Conversation" tabindex="0"></main>
<section id="chats" aria-label="Chats" hidden></section>
<form id="composer">
<ul id="references" aria-label="What goes with the question"></ul>
<textarea id="text" rows="1" aria-label="Your question" disabled></textarea>
<div id="bar">
<button type="button" id="addSelection">Selection</button>
<button type="button" id="addFile">File</button>
<span id="where"></span>
<button type="submit" id="send">Send</button>
</div>
</form>
<script nonce="${nonce}" src="${at("dist", "chat.js")}"></script>
</body>
</html>`;
}
