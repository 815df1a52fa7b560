// The one argument that every command of the server takes (see editor-clients/README.md), made from the editor.

import * as vscode from "vscode";

export interface Argument {
  uri?: string;
  range?: vscode.Range;
  question?: string;
  problems?: string[];
  language?: string;
}

/** What a command asks for before it runs; a test compares this with the server's own table. */
const ASKED: Readonly<Record<string, (words: Argument) => Promise<Argument | undefined>>> = {
  ask: (argument) => withQuestion(argument, "What do you want to know?", "Why does this return twice?"),
  edit: (argument) => withQuestion(argument, "What should change?", "Read the file line by line instead"),
  plot: (argument) => withQuestion(argument, "What should the figure show?", "A histogram of the wait times"),
  translate: withLanguage,
};

/** The argument for `verb` at the selection; undefined where the user changed their mind. */
export async function argumentAt(verb: string, editor: vscode.TextEditor): Promise<Argument | undefined> {
  const argument: Argument = { uri: editor.document.uri.toString(), range: editor.selection };
  if (verb === "fix") {
    argument.problems = problemsAt(editor);
  }
  const complete = ASKED[verb];
  return complete ? complete(argument) : argument;
}

/** One sentence for each diagnostic in the lines of the selection. */
function problemsAt({ document, selection }: vscode.TextEditor): string[] {
  return vscode.languages
    .getDiagnostics(document.uri)
    .filter(({ range }) => range.start.line <= selection.end.line && range.end.line >= selection.start.line)
    .map(({ range, message, source }) => {
      const told = message.split(/\s+/).join(" ");
      return `line ${range.start.line + 1}: ${told}${source ? ` (${source})` : ""}`;
    });
}

async function withQuestion(argument: Argument, prompt: string, example: string): Promise<Argument | undefined> {
  const question = await vscode.window.showInputBox({ title: "StarChat", prompt, placeHolder: example, ignoreFocusOut: true });
  return question?.trim() ? { ...argument, question: question.trim() } : undefined;
}

const ANOTHER = "Another language…";

async function withLanguage(argument: Argument): Promise<Argument | undefined> {
  const targets = vscode.workspace.getConfiguration("starchat").get<string[]>("translate.targets", []);
  const choice = await vscode.window.showQuickPick([...targets, ANOTHER], { title: "StarChat", placeHolder: "Translate to …" });
  const language = choice === ANOTHER ? await vscode.window.showInputBox({ title: "StarChat", prompt: "Translate to …" }) : choice;
  return language?.trim() ? { ...argument, language: language.trim() } : undefined;
}
