// A proposed edit of a document while the user decides: its changes, and the text that those not rejected make.

import * as vscode from "vscode";
import type { AnnotatedTextEdit, SnippetTextEdit, TextEdit } from "vscode-languageclient/node";

export const SCHEME = "starchat-review";

export interface Hunk {
  edit: { range: TextEdit["range"]; newText: string };
  verdict: "open" | "accepted" | "rejected";
  /** Where it begins and ends in the proposed text, in lines. */
  first: number;
  last: number;
}

let proposals = 0;

export class Proposal {
  readonly uri: vscode.Uri;
  readonly hunks: Hunk[];
  readonly decided: Promise<Hunk[]>;
  text = "";
  private settle!: (taken: Hunk[]) => void;

  /** For `target`, a new file where `document` is not there yet. */
  constructor(
    target: vscode.Uri,
    readonly document: vscode.TextDocument | undefined,
    edits: (TextEdit | AnnotatedTextEdit | SnippetTextEdit)[],
  ) {
    this.uri = vscode.Uri.from({ scheme: SCHEME, path: target.path, query: `${++proposals}` });
    this.hunks = edits
      .filter((edit) => "newText" in edit)
      .map((edit): Hunk => ({ edit, verdict: "open", first: 0, last: 0 }))
      .sort((one, other) => one.edit.range.start.line - other.edit.range.start.line || one.edit.range.start.character - other.edit.range.start.character);
    this.decided = new Promise((resolve) => (this.settle = resolve));
    this.write();
  }

  /** Make every change that was not rejected. */
  apply(): void {
    this.settle(this.hunks.filter(({ verdict }) => verdict !== "rejected"));
  }

  discard(): void {
    this.settle([]);
  }

  /** Take or leave the change at the cursor; after the last one, what was taken is applied. */
  judge(verdict: "accepted" | "rejected"): void {
    const hunk = this.atCursor();
    if (hunk === undefined) return;
    hunk.verdict = verdict;
    if (this.hunks.every((each) => each.verdict !== "open")) {
      return this.apply();
    }
    this.write();
    this.mark();
    const next = this.hunks.find((each) => each.verdict === "open");
    const editor = this.editor();
    if (next && editor) {
      editor.selection = new vscode.Selection(next.first, 0, next.first, 0);
      editor.revealRange(editor.selection, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
    }
  }

  /** Number the changes in the diff, and show which are accepted. */
  mark(): void {
    if (this.hunks.length === 1) return;
    const shown = this.hunks.filter(({ verdict }) => verdict !== "rejected");
    const marks = shown.map((hunk) => {
      const place = this.hunks.indexOf(hunk) + 1;
      const contentText = hunk.verdict === "accepted" ? "accepted" : `change ${place} of ${this.hunks.length}`;
      const end = new vscode.Range(hunk.first, Number.MAX_SAFE_INTEGER, hunk.first, Number.MAX_SAFE_INTEGER);
      return { range: end, renderOptions: { after: { contentText } } };
    });
    this.editor()?.setDecorations(MARK, marks);
  }

  private editor(): vscode.TextEditor | undefined {
    return vscode.window.visibleTextEditors.find(({ document }) => document.uri.toString() === this.uri.toString());
  }

  private atCursor(): Hunk | undefined {
    const line = this.editor()?.selection.active.line ?? 0;
    const waiting = this.hunks.filter(({ verdict }) => verdict === "open");
    return waiting.find(({ last }) => line <= last) ?? waiting.at(-1);
  }

  private write(): void {
    const before = this.document?.getText() ?? "";
    const offset = ({ line, character }: { line: number; character: number }): number => this.document?.offsetAt(new vscode.Position(line, character)) ?? 0;
    let [text, place] = ["", 0];
    for (const hunk of this.hunks) {
      if (hunk.verdict === "rejected") continue;
      text += before.slice(place, offset(hunk.edit.range.start));
      hunk.first = linesIn(text);
      text += hunk.edit.newText;
      hunk.last = Math.max(hunk.first, linesIn(text.replace(/\r?\n$/, "")));
      place = offset(hunk.edit.range.end);
    }
    this.text = text + before.slice(place);
  }
}

function linesIn(text: string): number {
  return text.split("\n").length - 1;
}

const MARK = vscode.window.createTextEditorDecorationType({
  after: { margin: "0 0 0 3em", color: new vscode.ThemeColor("editorCodeLens.foreground"), fontStyle: "italic" },
});
