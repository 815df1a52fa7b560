// What the chat view's page and the extension say to each other.

/** Lines of a file that go with a question; without a range all of it.  Positions count from 0, as in the LSP. */
export interface Reference {
  label: string;
  uri: string;
  range?: { start: Position; end: Position };
}

interface Position {
  line: number;
  character: number;
}

export interface Message {
  role: "user" | "assistant";
  text: string;
  references?: Reference[];
  /** A sentence below the message: why it ends here, or what went wrong. */
  notice?: string;
}

export interface Summary {
  chat: string;
  title: string;
  messages: number;
}

export type ToPage =
  | { kind: "show"; title: string; messages: Message[]; references: Reference[]; busy: boolean }
  | { kind: "chats"; chats: Summary[]; current: string | undefined }
  | { kind: "references"; references: Reference[] }
  | { kind: "delta"; text: string }
  | { kind: "waiting"; message: string }
  | { kind: "server"; life: string; model: string; remote: string | undefined }
  | { kind: "focus" };

export type ToHost =
  | { kind: "ready" | "stop" | "new" | "list" | "again" | "addSelection" | "addFile" | "setUp" | "restart" }
  | { kind: "send"; text: string }
  | { kind: "open" | "delete"; chat: string }
  | { kind: "remove"; place: number }
  | { kind: "reveal"; reference: Reference }
  | { kind: "insert" | "copy" | "apply"; code: string; language: string };
