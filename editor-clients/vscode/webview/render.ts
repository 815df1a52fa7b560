// Markdown as HTML that can do no harm: HTML in it is shown as text, images are not loaded, code is coloured and gets its buttons.

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import ruby from "highlight.js/lib/languages/ruby";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import MarkdownIt from "markdown-it";

const LANGUAGES = { bash, c, cpp, css, diff, go, java, javascript, json, python, ruby, rust, sql, typescript, xml, yaml };
Object.entries(LANGUAGES).forEach(([name, language]) => hljs.registerLanguage(name, language));

const markdown = new MarkdownIt({ html: false, linkify: false }).disable("image");
markdown.renderer.rules["fence"] = (tokens, place) => block(tokens[place]?.content ?? "", tokens[place]?.info ?? "");
markdown.renderer.rules["code_block"] = (tokens, place) => block(tokens[place]?.content ?? "", "");
// A link that is no link to the web is shown as its text.
markdown.validateLink = (url) => /^https?:\/\//i.test(url);

export function render(text: string): string {
  return markdown.render(text);
}

function block(code: string, info: string): string {
  const language = info.trim().split(/\s+/)[0] ?? "";
  const coloured = hljs.getLanguage(language)
    ? hljs.highlight(code, { language, ignoreIllegals: true }).value
    : markdown.utils.escapeHtml(code);
  const name = markdown.utils.escapeHtml(language);
  return `<figure class="code" data-language="${name}"><figcaption><span>${name || "text"}</span>${BUTTONS}</figcaption><pre tabindex="0"><code>${coloured}</code></pre></figure>`;
}

const BUTTONS = [
  ["insert", "Insert", "Insert at the cursor"],
  ["copy", "Copy", "Copy to the clipboard"],
  ["apply", "Apply", "Show what it would change, and apply it"],
]
  .map(([act, text, title]) => `<button type="button" data-act="${act}" title="${title}">${text}</button>`)
  .join("");
