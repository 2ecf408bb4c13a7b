"use strict";
// Elements that all pages use. Text is only put into text nodes.
const S2 = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  // Make an element. props: properties; names with a dash are attributes, on… are listeners.
  S2.el = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);
  S2.svg = (tag, attributes = {}, ...children) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== null) node.setAttribute(name, value);
    }
    append(node, children);
    return node;
  };
  function fill(node, props, children) {
    for (const [name, value] of Object.entries(props)) {
      if (value === undefined || value === null) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") Object.assign(node.style, value);
      else if (name.includes("-") || name === "role") node.setAttribute(name, value);
      else node[name] = value;
    }
    append(node, children);
    return node;
  }
  function append(node, children) {
    node.append(
      ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
    );
  }

  S2.chip = (text, kind = "", title) => S2.el("span", { className: `chip ${kind}`, title }, text);
  S2.statusChip = (status) => S2.chip(S2.words(status), S2.failed(status) ? "error" : "");
  // Let the keyboard scroll an element as far as it is wider than its place: its size is watched.
  const sizes = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  S2.reachable = (node) => {
    sizes.observe(node);
    return node;
  };
  S2.note = (...content) => S2.el("p", { className: "note" }, content);
  S2.button = (text, onclick, more = {}) => S2.el("button", { type: "button", onclick, ...more }, text);
  S2.link = (text, href, more = {}) => S2.el("a", { href, ...more }, text);

  // A table of names and values, one row for each pair.
  S2.factTable = (rows) =>
    S2.el(
      "table",
      {},
      S2.el(
        "tbody",
        {},
        rows.map(([name, value]) =>
          S2.el("tr", {}, S2.el("th", { scope: "row" }, name), S2.el("td", {}, value)),
        ),
      ),
    );
  // A large figure at the top of a page. kind: the class of its colour, unused if the value is 0.
  S2.figure = (value, words, kind, href) =>
    S2.el(
      href ? "a" : "div",
      { className: `figure ${value ? kind || "" : ""}`, href },
      S2.el("b", {}, typeof value === "number" ? S2.count(value) : value),
      S2.el("span", {}, words),
    );
})();
