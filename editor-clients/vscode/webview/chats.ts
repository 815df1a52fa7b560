// The list of conversations, over the log.

import type { Summary, ToHost, ToPage } from "../src/chat/messages";
import { element } from "./element";

type Post = (message: ToHost) => void;

const list = document.getElementById("chats") as HTMLElement;
let timer: ReturnType<typeof setTimeout> | undefined;

export function drawChats({ chats, current, search }: Extract<ToPage, { kind: "chats" }>, post: Post): void {
  if (list.hidden) {
    list.replaceChildren(head(), searchBox(post), element("div", { id: "found" }));
    list.hidden = false;
    list.querySelector("input")?.focus();
  }
  const none = element("p", { class: "quiet" }, search ? "No chat holds these words." : "No chats yet.");
  const rows = chats.map((chat) => row(chat, chat.chat === current, post));
  document.getElementById("found")?.replaceChildren(chats.length ? element("ul", {}, rows) : none);
}

/** Take the list away; whether there was one. */
export function hideChats(): boolean {
  const was = !list.hidden;
  list.hidden = true;
  return was;
}

function head(): HTMLElement {
  const close = element("button", { type: "button", class: "remove", "aria-label": "Close the list" }, "×");
  close.addEventListener("click", hideChats);
  return element("header", {}, [element("h2", {}, "Chats"), close]);
}

function searchBox(post: Post): HTMLElement {
  const box = element("input", { type: "search", placeholder: "Search all chats", "aria-label": "Search all chats" }) as HTMLInputElement;
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => post({ kind: "list", search: box.value }), 200);
  });
  return box;
}

function row({ chat, title, messages, excerpt }: Summary, isCurrent: boolean, post: Post): HTMLElement {
  const open = element("button", { type: "button", class: "open", ...(isCurrent ? { "aria-current": "true" } : {}) }, [
    element("span", { class: "title" }, title || "Untitled"),
    element("span", { class: "quiet" }, messages === 1 ? "1 message" : `${messages} messages`),
    ...(excerpt ? [element("span", { class: "excerpt quiet" }, excerpt)] : []),
  ]);
  open.addEventListener("click", () => post({ kind: "open", chat }));
  const remove = element("button", { type: "button", class: "remove", "aria-label": `Delete ${title || "this chat"}` }, "×");
  remove.addEventListener("click", () => post({ kind: "delete", chat }));
  return element("li", {}, [open, remove]);
}
