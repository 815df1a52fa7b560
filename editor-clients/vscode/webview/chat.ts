// The page of the chat view: it draws what the extension says, and says what the user does.

import type { Message, Reference, ToHost, ToPage } from "../src/chat/messages";
import { drawChats, hideChats } from "./chats";
import { element } from "./element";
import { follow, isAtEnd } from "./following";
import { render } from "./render";
import { drawWelcome } from "./welcome";

declare function acquireVsCodeApi(): { postMessage(message: ToHost): void; getState(): { draft?: string } | undefined; setState(state: { draft: string }): void };

const host = acquireVsCodeApi();
const log = byId("log");
const composer = byId("composer") as HTMLFormElement;
const box = byId("text") as HTMLTextAreaElement;
const send = byId("send") as HTMLButtonElement;
const references = byId("references");
const where = byId("where");

let busy = false;
let streamed = "";
let answer: HTMLElement | undefined;
let drawing = 0;
let server: Extract<ToPage, { kind: "server" }> = { kind: "server", life: "starting", model: "", remote: undefined };
let empty = true;

window.addEventListener("message", ({ data }: MessageEvent<ToPage>) => {
  switch (data.kind) {
    case "show":
      return show(data);
    case "delta":
      return hear(data.text);
    case "waiting":
      return wait(data.message);
    case "references":
      return drawReferences(data.references);
    case "chats":
      return drawChats(data, host.postMessage);
    case "server":
      server = data;
      return drawServer();
    case "focus":
      return box.focus();
  }
});

function show({ messages, references: attached, busy: isBusy }: Extract<ToPage, { kind: "show" }>): void {
  hideChats();
  busy = isBusy;
  empty = messages.length === 0;
  streamed = messages.at(-1)?.text ?? "";
  log.replaceChildren(...messages.map((message, place) => article(message, place === messages.length - 1)));
  answer = (log.lastElementChild?.querySelector(".text") ?? undefined) as HTMLElement | undefined;
  if (busy && !streamed) wait("");
  log.setAttribute("aria-busy", String(busy));
  drawReferences(attached);
  drawServer();
  log.scrollTop = log.scrollHeight;
}

function article(message: Message, last: boolean): HTMLElement {
  const node = element("article", { class: message.role, "aria-label": message.role === "user" ? "You" : "StarChat" });
  node.append(...(message.references?.length ? [element("ul", { class: "references" }, message.references.map(chip))] : []));
  const text = element("div", { class: "text" });
  if (message.role === "user") text.textContent = message.text;
  else text.innerHTML = render(message.text);
  node.append(text);
  if (message.role === "assistant" && busy && last) node.classList.add("growing");
  if (message.notice) node.append(notice(message.notice, last && !busy && message.failed === true, message.full ?? false));
  return node;
}

function notice(sentence: string, last: boolean, full: boolean): HTMLElement {
  const again = element("button", { type: "button" }, full ? "Leave the Oldest Out" : "Try Again");
  again.addEventListener("click", () => host.postMessage({ kind: "again", shorten: full }));
  return element("p", { class: "notice", role: "status" }, [element("span", {}, sentence), ...(last ? [again] : [])]);
}

function chip(reference: Reference): HTMLElement {
  if (reference.uri === undefined) return element("li", { class: "past" }, reference.label);
  const button = element("button", { type: "button", title: "Show it" }, reference.label);
  button.addEventListener("click", () => host.postMessage({ kind: "reveal", reference }));
  return element("li", {}, [button]);
}

function hear(text: string): void {
  streamed += text;
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    const end = isAtEnd(log);
    if (answer) {
      answer.classList.remove("waiting");
      answer.innerHTML = render(streamed);
    }
    follow(log, end);
  });
}

function wait(message: string): void {
  if (answer && !streamed) {
    answer.classList.add("waiting");
    answer.textContent = message || "…";
  }
}

function drawReferences(attached: Reference[]): void {
  const items = attached.map((reference, place) => {
    const remove = element("button", { type: "button", class: "remove", "aria-label": `Leave ${reference.label} out` }, "×");
    remove.addEventListener("click", () => host.postMessage({ kind: "remove", place }));
    const item = chip(reference);
    item.append(remove);
    return item;
  });
  references.replaceChildren(...items);
}

function drawServer(): void {
  send.textContent = busy ? "Stop" : "Send";
  send.classList.toggle("stop", busy);
  where.textContent = server.remote ? `Goes to ${server.remote}` : server.model;
  where.classList.toggle("remote", server.remote !== undefined);
  where.title = server.remote ? `Your code leaves this machine: ${server.remote}` : "Your code stays on this machine.";
  box.placeholder = server.life === "running" ? "Ask about your code" : "StarChat is not running";
  if (empty) drawWelcome(log, server, ask, host.postMessage);
}

/** Put words into the box, for the user to finish. */
function ask(text: string): void {
  box.value = text;
  grow();
  box.focus();
}

function submit(): void {
  const text = box.value.trim();
  if (busy) return host.postMessage({ kind: "stop" });
  if (!text) return;
  box.value = "";
  grow();
  host.postMessage({ kind: "send", text });
}

function grow(): void {
  box.rows = Math.min(8, Math.max(1, box.value.split("\n").length));
  host.setState({ draft: box.value });
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
box.addEventListener("input", grow);
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!busy) submit();
  }
});
window.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!hideChats() && busy) host.postMessage({ kind: "stop" });
  box.focus();
});
log.addEventListener("click", (event) => {
  const button = (event.target as HTMLElement).closest<HTMLButtonElement>("button[data-act]");
  const figure = button?.closest<HTMLElement>("figure.code");
  if (button && figure) {
    const kind = button.dataset["act"] as "insert" | "copy" | "apply";
    const code = figure.querySelector("code")?.textContent ?? "";
    const place = [...log.children].findIndex((each) => each.contains(figure));
    host.postMessage(kind === "apply" ? { kind, code, place } : { kind, code });
  }
});
byId("addSelection").addEventListener("click", () => host.postMessage({ kind: "addSelection" }));
byId("addFile").addEventListener("click", () => host.postMessage({ kind: "addFile" }));

function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no #${id}.`);
  return found;
}

box.value = host.getState()?.draft ?? "";
box.disabled = false; // what is typed before would be lost
grow();
host.postMessage({ kind: "ready" });
