// The list of conversations, over the log.

import type { Summary, ToHost } from "../src/chat/messages";
import { element } from "./element";

const list = document.getElementById("chats") as HTMLElement;

export function drawChats(chats: Summary[], current: string | undefined, post: (message: ToHost) => void): void {
  const close = element("button", { type: "button", class: "remove", "aria-label": "Close the list" }, "×");
  close.addEventListener("click", hideChats);
  const head = element("header", {}, [element("h2", {}, "Chats"), close]);
  const none = element("p", { class: "quiet" }, "No chats yet.");
  const rows = chats.map((chat) => row(chat, chat.chat === current, post));
  list.replaceChildren(head, chats.length ? element("ul", {}, rows) : none);
  list.hidden = false;
  (list.querySelector<HTMLElement>("li button") ?? close).focus();
}

/** Take the list away; whether there was one. */
export function hideChats(): boolean {
  const was = !list.hidden;
  list.hidden = true;
  return was;
}

function row({ chat, title, messages }: Summary, isCurrent: boolean, post: (message: ToHost) => void): HTMLElement {
  const open = element("button", { type: "button", class: "open", ...(isCurrent ? { "aria-current": "true" } : {}) }, [
    element("span", { class: "title" }, title || "Untitled"),
    element("span", { class: "quiet" }, messages === 1 ? "1 message" : `${messages} messages`),
  ]);
  open.addEventListener("click", () => post({ kind: "open", chat }));
  const remove = element("button", { type: "button", class: "remove", "aria-label": `Delete ${title || "this chat"}` }, "×");
  remove.addEventListener("click", () => post({ kind: "delete", chat }));
  return element("li", {}, [open, remove]);
}
