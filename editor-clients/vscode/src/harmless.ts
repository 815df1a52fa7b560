// An answer as Markdown that loads nothing: the editor's preview would fetch pictures, and with them tell whoever wrote their address.

import MarkdownIt from "markdown-it";

const markdown = new MarkdownIt({ html: true });
const LOADING = new Set(["image", "html_inline", "html_block"]);

/** The text as it is where it has neither pictures nor HTML; else with these shown as they are written. */
export function harmless(text: string): string {
  const places = loadingLines(text);
  if (places.size === 0) return text;
  const mended = text.split("\n").map((line, place) => (places.has(place) ? escaped(line) : line)).join("\n");
  return loadingLines(mended).size === 0 ? mended : text.split("\n").map(escaped).join("\n");
}

/** The lines of every block that has such a part. */
function loadingLines(text: string): Set<number> {
  const found = new Set<number>();
  for (const { type, children, map } of markdown.parse(text, {})) {
    if (!LOADING.has(type) && !children?.some((child) => LOADING.has(child.type))) continue;
    const [first, end] = map ?? [0, text.split("\n").length];
    for (let line = first; line < end; line++) found.add(line);
  }
  return found;
}

function escaped(line: string): string {
  return line.replaceAll("<", "&lt;").replaceAll("![", "&#33;[");
}
