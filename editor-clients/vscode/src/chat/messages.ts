// What the chat view's page and the extension say to each other.

/** Lines of a file that go with a question; without a range all of it.  Positions count from 0, as in the LSP.  Of one from the history only the label is known. */
export interface Reference {
  label: string;
  uri?: string;
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
  /** Whether it ended before its end, and may be tried again. */
  failed?: boolean;
  /** Whether the chat has outgrown the model's window, and may go on without its oldest messages. */
  full?: boolean;
}

export interface Summary {
  chat: string;
  title: string;
  messages: number;
  /** Where the words that were searched for stand in it. */
  excerpt?: string;
}

export type ToPage =
  | { kind: "show"; title: string; messages: Message[]; references: Reference[]; busy: boolean }
  | { kind: "chats"; chats: Summary[]; current: string | undefined; search: string }
  | { kind: "references"; references: Reference[] }
  | { kind: "delta"; text: string }
  | { kind: "waiting"; message: string }
  | { kind: "server"; life: string; model: string; remote: string | undefined }
  | { kind: "focus" };

export type ToHost =
  | { kind: "ready" | "stop" | "new" | "addSelection" | "addFile" | "setUp" | "restart" }
  | { kind: "send"; text: string }
  | { kind: "list"; search: string }
  | { kind: "again"; shorten: boolean }
  | { kind: "open" | "delete"; chat: string }
  | { kind: "remove"; place: number }
  | { kind: "reveal"; reference: Reference }
  | { kind: "insert" | "copy"; code: string }
  /** `place`: of the answer among the messages. */
  | { kind: "apply"; code: string; place: number };
