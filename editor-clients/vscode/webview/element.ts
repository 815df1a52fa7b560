/** An element with attributes and children; strings become text, never markup. */
export function element(name: string, attributes: Record<string, string>, children: string | Node[] = []): HTMLElement {
  const node = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  node.append(...(typeof children === "string" ? [children] : children));
  return node;
}
