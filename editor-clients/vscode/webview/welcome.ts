// What an empty chat shows: that it is ready, or what it lacks.

import type { ToHost, ToPage } from "../src/chat/messages";
import { element } from "./element";

type Server = Extract<ToPage, { kind: "server" }>;

const BEGINNINGS = ["Explain what this does", "Find the bug in this", "How can I test this?"];

export function drawWelcome(log: HTMLElement, server: Server, ask: (text: string) => void, post: (message: ToHost) => void): void {
  const star = element("div", { class: "star", "aria-hidden": "true" });
  const parts = server.life === "running" ? ready(server, ask, post) : lacking(server, post);
  log.replaceChildren(element("section", { class: "welcome" }, [star, ...parts]));
}

function ready(server: Server, ask: (text: string) => void, post: (message: ToHost) => void): HTMLElement[] {
  const place = server.remote ? `Your code goes to ${server.remote}.` : "Your code stays on this machine.";
  const buttons = BEGINNINGS.map((text) => {
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      post({ kind: "addSelection" });
      ask(text);
    });
    return button;
  });
  return [element("h1", {}, "Ask about your code"), element("p", { class: "quiet" }, place), element("div", { class: "beginnings" }, buttons)];
}

function lacking({ life }: Server, post: (message: ToHost) => void): HTMLElement[] {
  if (life === "starting") return [element("p", { class: "quiet" }, "Starting …")];
  const missing = life === "missing";
  const button = element("button", { type: "button", class: "primary" }, missing ? "Set Up the Server…" : "Restart the Server");
  button.addEventListener("click", () => post({ kind: missing ? "setUp" : "restart" }));
  const sentence = missing ? "StarChat needs its server on this machine." : "The server has stopped.";
  return [element("p", {}, sentence), button];
}
