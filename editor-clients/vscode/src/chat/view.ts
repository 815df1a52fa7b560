// The chat view: what it shows, and what the user does in it.

import * as vscode from "vscode";
import { ResponseError } from "vscode-languageclient/node";
import type { Assistant } from "../assistant";
import { sentence } from "../sentence";
import { apply, copy, insert } from "./code";
import type { Message, Reference, ToHost, ToPage } from "./messages";
import { page } from "./page";
import { choose, reveal, same, selected } from "./references";
import { create, list, remove, say, show } from "./turns";

export class ChatView implements vscode.WebviewViewProvider {
  private view: vscode.WebviewView | undefined;
  private chat: { chat: string; kept: boolean } | undefined;
  private messages: Message[] = [];
  private references: Reference[] = [];
  private turn: vscode.CancellationTokenSource | undefined;

  constructor(
    private readonly extension: vscode.Uri,
    private readonly assistant: Assistant,
  ) {
    assistant.onChange(() => this.tellServer());
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const roots = ["media", "dist"].map((folder) => vscode.Uri.joinPath(this.extension, folder));
    view.webview.options = { enableScripts: true, localResourceRoots: roots };
    view.webview.onDidReceiveMessage((message: ToHost) => this.heard(message).catch((error: unknown) => report(error)));
    view.onDidDispose(() => (this.view = undefined));
    view.webview.html = page(view.webview, this.extension);
  }

  /** Bring the view to the front, ready to be typed in. */
  async open(): Promise<void> {
    await vscode.commands.executeCommand("starchat.chat.focus");
    this.post({ kind: "focus" });
  }

  async add(...references: (Reference | undefined)[]): Promise<void> {
    for (const reference of references) {
      if (reference && !this.references.some((each) => same(each, reference))) {
        this.references.push(reference);
      }
    }
    this.post({ kind: "references", references: this.references });
    await this.open();
  }

  async addFiles(): Promise<void> {
    await this.add(...(await choose()));
  }

  stop(): void {
    this.turn?.cancel();
  }

  begin(): void {
    this.stop();
    this.chat = undefined;
    this.messages = [];
    this.draw();
  }

  async list(search = ""): Promise<void> {
    this.post({ kind: "chats", chats: await list(this.assistant, search), current: this.chat?.chat, search });
  }

  private async heard(message: ToHost): Promise<unknown> {
    switch (message.kind) {
      case "ready":
        this.tellServer();
        return this.draw();
      case "send":
        return this.send(message.text, this.references.splice(0));
      case "again":
        return this.again(message.shorten);
      case "stop":
        return this.stop();
      case "new":
        return this.begin();
      case "list":
        return this.list(message.search);
      case "open":
        return this.openChat(message.chat);
      case "delete":
        return this.deleteChat(message.chat);
      case "addSelection":
        return this.add(selected());
      case "addFile":
        return this.addFiles();
      case "remove":
        this.references.splice(message.place, 1);
        return this.post({ kind: "references", references: this.references });
      case "reveal":
        return reveal(message.reference);
      case "insert":
        return insert(message.code);
      case "copy":
        return copy(message.code);
      case "apply":
        return apply(this.assistant, message.code, this.referencesOf(message.place));
      case "setUp":
      case "restart":
        return vscode.commands.executeCommand(`starchat.${message.kind}`);
    }
  }

  private async send(text: string, references: Reference[], shorten = false): Promise<void> {
    if (this.turn) {
      return;
    }
    const answer: Message = { role: "assistant", text: "" };
    const messages = this.messages;
    messages.push({ role: "user", text, references }, answer);
    const turn = (this.turn = new vscode.CancellationTokenSource());
    this.draw();
    try {
      this.chat ??= await create(this.assistant);
      const context = references.flatMap(({ uri, range }) => (uri ? [range ? { uri, range } : { uri }] : []));
      const done = await say(this.assistant, { chat: this.chat.chat, text, context, shorten }, turn.token, (piece) => {
        if (piece.kind === "delta") answer.text += piece.text;
        if (piece.kind === "note") answer.notice = piece.message;
        else if (messages === this.messages) this.post(piece.kind === "delta" ? piece : { kind: "waiting", message: piece.message });
      });
      answer.text = done.text;
      if (done.finishReason === "length") answer.notice = "The answer ends here because the model's window is full.";
    } catch (error) {
      answer.failed = true;
      answer.notice = turn.token.isCancellationRequested ? "Stopped." : sentence(error);
      answer.full = error instanceof ResponseError && (error.data as { code?: string } | undefined)?.code === "chat_full";
    } finally {
      turn.dispose();
      this.turn = undefined;
      this.draw();
    }
  }

  /** Put the last question once more. */
  private async again(shorten: boolean): Promise<void> {
    const place = this.messages.findLastIndex(({ role }) => role === "user");
    const [question] = this.turn ? [] : this.messages.splice(place);
    if (question) await this.send(question.text, question.references ?? [], shorten);
  }

  private async openChat(chat: string): Promise<void> {
    const { kept, messages } = await show(this.assistant, chat);
    this.stop();
    this.chat = { chat, kept };
    this.messages = messages;
    this.draw();
  }

  private async deleteChat(chat: string): Promise<void> {
    await remove(this.assistant, chat);
    if (chat === this.chat?.chat) this.begin();
    await this.list();
  }

  /** What the answer at `place` is about, and so where its code may belong: what went last with a question up to there. */
  private referencesOf(place: number): Reference[] {
    const asked = this.messages.slice(0, place).map(({ references }) => (references ?? []).filter(({ uri }) => uri !== undefined));
    return asked.findLast(({ length }) => length > 0) ?? [];
  }

  private draw(): void {
    const title = this.messages.find(({ role }) => role === "user")?.text ?? "";
    this.post({ kind: "show", title, messages: this.messages, references: this.references, busy: this.turn !== undefined });
    void vscode.commands.executeCommand("setContext", "starchat.answering", this.turn !== undefined);
  }

  private tellServer(): void {
    const { life, status } = this.assistant;
    if (life !== "running" && !this.chat?.kept) this.chat = undefined; // it is gone with the server
    this.post({ kind: "server", life, model: status.model, remote: status.remote });
  }

  private post(message: ToPage): void {
    void this.view?.webview.postMessage(message);
  }
}

function report(error: unknown): void {
  void vscode.window.showErrorMessage(`StarChat: ${sentence(error)}`);
}
