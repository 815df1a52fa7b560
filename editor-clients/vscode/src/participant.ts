// The editor's own chat, where it has one: `@starchat`, and the model as one to choose.  Editors without these interfaces lose nothing else.

import * as vscode from "vscode";
import type { Assistant } from "./assistant";
import type { Reference } from "./chat/messages";
import { create, remove, say, show } from "./chat/turns";
import { sentence } from "./sentence";

const VENDOR = "starchat";

export function registerWithEditor(assistant: Assistant): vscode.Disposable {
  const hasParticipants = typeof vscode.chat?.createChatParticipant === "function";
  const hasProviders = typeof vscode.lm?.registerLanguageModelChatProvider === "function";
  return vscode.Disposable.from(
    vscode.commands.registerCommand("starchat.editorChat", openEditorChat),
    ...(hasParticipants ? [vscode.chat.createChatParticipant("starchat.assistant", (...turn) => answer(assistant, ...turn))] : []),
    ...(hasProviders ? [vscode.lm.registerLanguageModelChatProvider(VENDOR, provider(assistant))] : []),
  );
}

/** Only in its mode “Ask” does the editor's chat take a model that calls no tools. */
function openEditorChat(): Thenable<unknown> {
  return vscode.commands.executeCommand("workbench.action.chat.open", { mode: "ask", query: "@starchat ", isPartialQuery: true });
}

/** One turn of `@starchat`; its chat at the server is remembered in the turns before. */
async function answer(
  assistant: Assistant,
  { prompt, references }: vscode.ChatRequest,
  { history }: vscode.ChatContext,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<vscode.ChatResult> {
  try {
    const known = await chatOf(assistant, history);
    const chat = known ?? (await create(assistant)).chat;
    const text = known ? prompt : withPast(pastOf(history), prompt);
    const context = references.flatMap(({ value }) => contextOf(value));
    await say(assistant, { chat, text, context }, token, (piece) =>
      piece.kind === "delta" ? stream.markdown(piece.text) : stream.progress(piece.message),
    );
    return { metadata: { chat } };
  } catch (error) {
    if (token.isCancellationRequested) return {};
    return { errorDetails: { message: sentence(error) } };
  }
}

/** The chat in which the turns before were held, where the server still has it. */
async function chatOf(assistant: Assistant, history: vscode.ChatContext["history"]): Promise<string | undefined> {
  const last = history.findLast((turn) => turn instanceof vscode.ChatResponseTurn);
  const chat = last?.result.metadata?.["chat"] as string | undefined;
  return chat && (await show(assistant, chat).then(() => chat, () => undefined));
}

function contextOf(value: unknown): Pick<Reference, "uri" | "range">[] {
  if (value instanceof vscode.Uri) return [{ uri: value.toString() }];
  if (!(value instanceof vscode.Location)) return [];
  const { start, end } = value.range;
  return [{ uri: value.uri.toString(), range: { start: { ...position(start) }, end: { ...position(end) } } }];
}

function position({ line, character }: vscode.Position): { line: number; character: number } {
  return { line, character };
}

function provider(assistant: Assistant): vscode.LanguageModelChatProvider {
  return {
    onDidChangeLanguageModelChatInformation: assistant.onChange,
    provideLanguageModelChatInformation: () => (assistant.life === "running" ? [information(assistant)] : []),
    provideLanguageModelChatResponse: async (_model, messages, _options, progress, token) => {
      const { chat } = await create(assistant, { kept: false }); // it is the asking extension's, and nobody's to find again
      try {
        await say(assistant, { chat, text: transcript(messages), context: [] }, token, (piece) => {
          if (piece.kind === "delta") progress.report(new vscode.LanguageModelTextPart(piece.text));
        });
      } finally {
        await remove(assistant, chat);
      }
    },
    provideTokenCount: async (_model, text) => Math.ceil((typeof text === "string" ? text : textOf(text)).length / CHARACTERS_PER_TOKEN),
  };
}

const CHARACTERS_PER_TOKEN = 3;

function information({ status }: Assistant): vscode.LanguageModelChatInformation {
  return {
    id: "starchat",
    name: status.model || "StarChat",
    family: "starchat",
    version: "1",
    maxInputTokens: 4096,
    maxOutputTokens: 2048,
    capabilities: { toolCalling: false },
  };
}

interface Spoken {
  who: "User" | "Assistant";
  said: string;
}

function transcript(messages: readonly vscode.LanguageModelChatRequestMessage[]): string {
  const past = messages.map((message): Spoken => ({
    who: message.role === vscode.LanguageModelChatMessageRole.User ? "User" : "Assistant",
    said: textOf(message),
  }));
  const last = past.pop();
  return withPast(past, last?.said ?? "");
}

/** The server's chats take one message at a time, so what was said before goes along as text. */
function withPast(past: readonly Spoken[], text: string): string {
  return past.length ? `${past.map(({ who, said }) => `${who}: ${said}`).join("\n\n")}\n\nUser: ${text}` : text;
}

function pastOf(history: vscode.ChatContext["history"]): Spoken[] {
  return history.map((turn) => {
    if (turn instanceof vscode.ChatRequestTurn) return { who: "User", said: turn.prompt };
    const parts = turn.response.map((part) => (part instanceof vscode.ChatResponseMarkdownPart ? part.value.value : ""));
    return { who: "Assistant", said: parts.join("") };
  });
}

function textOf({ content }: vscode.LanguageModelChatRequestMessage): string {
  return content.map((part) => (part instanceof vscode.LanguageModelTextPart ? part.value : "")).join("");
}
