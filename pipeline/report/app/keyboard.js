"use strict";
// The keyboard focus, and which keys the page handles.
(() => {
  // Redrawn elements lose the keyboard focus: heldFocus records it, holdFocus restores it afterwards.
  const FOCUSABLE = "a[href], button, input, select, [tabindex='0']";
  const focusables = (root) => [...root.querySelectorAll(FOCUSABLE)];
  const nameOf = (node) =>
    node.id ||
    node.name ||
    node.dataset.uri ||
    node.getAttribute("aria-label") ||
    node.title ||
    node.textContent;
  S2.heldFocus = (root) => {
    const node = document.activeElement;
    if (node === root || !root.contains(node)) return null;
    const all = focusables(root);
    const name = nameOf(node);
    return {
      name,
      place: all.filter((one) => nameOf(one) === name).indexOf(node),
      index: all.indexOf(node),
      isRow: Boolean(node.closest("article, .cell")),
      caret: node.type === "search" ? node.selectionStart : null,
    };
  };
  // near: if no element of that name is left, focus the element now at its position; not for a photo of a list,
  // because the one at its position on another page is out of sight.
  S2.holdFocus = (root, held, near) => {
    if (!held) return true;
    const all = focusables(root).filter((node) => !node.disabled);
    const like = all.filter((node) => nameOf(node) === held.name);
    const node =
      like[Math.min(held.place, like.length - 1)] ||
      (near && !held.isRow && all[Math.min(held.index, all.length - 1)]);
    if (!node) return false;
    if (node !== document.activeElement) node.focus({ preventScroll: true });
    if (held.caret !== null) node.setSelectionRange(held.caret, held.caret);
    return true;
  };
  S2.redraw = (root, draw) => {
    const held = S2.heldFocus(root);
    draw();
    S2.holdFocus(root, held, true);
  };
  // Following the link's own target would change the route.
  S2.skipLink = (main) =>
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      main.focus();
    });

  // Speech input may type words as keys, so letters and signs can be turned off as keys (WCAG 2.2, 2.1.4).
  const SETTING = "s2cnet-keys";
  let isOff = false; // where the browser stores nothing, until the page is closed
  try {
    isOff = localStorage.getItem(SETTING) === "off";
  } catch {}
  S2.keysButton = () => {
    const words = () => `Letters and signs as keys: ${isOff ? "off" : "on"}`;
    const turn = ({ target }) => {
      isOff = !isOff;
      target.textContent = words();
      try {
        localStorage.setItem(SETTING, isOff ? "off" : "on");
      } catch {}
    };
    return S2.button(words(), turn);
  };

  // Whether a key press belongs to the browser or to a field, or is turned off. A filter keeps the focus after a choice, as does the
  // page number; from there j and k lead to the list.
  S2.ignoresKey = (event) => {
    const isField = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    const leaves = event.target.type !== "search" && /^[jk]$/.test(S2.keyOf(event));
    const isTyped = event.altKey && /^[[\]/?]$/.test(event.key); // as AltGr types them in many layouts
    const isCommand = event.metaKey || ((event.ctrlKey || event.altKey) && !isTyped);
    return isCommand || (isField && !leaves) || (isOff && event.key.length === 1);
  };
  // The key that a press means. Where a layout has letters of another script or accents, it is the key at the same
  // place, as for digits, brackets and the slash where a layout has them only with Shift or AltGr. Other signs at the
  // place of a letter mean nothing, because layouts of Latin letters have that letter elsewhere (Dvorak: a comma at the
  // place of w); but Hebrew has an apostrophe there.
  const PLACES = { BracketLeft: "[", BracketRight: "]", Slash: "/" };
  S2.keyOf = ({ key = "", code, shiftKey }) => {
    if (/^[a-z0-9[\]/?]$/i.test(key)) return key.toLowerCase(); // also while Caps Lock is on
    if (key.length !== 1 && key !== "Dead") return key;
    const [, kind, name] = /^(Key|Digit)(.)$/.exec(code) || [];
    if (kind === "Key") return /[\p{L}\p{M}]/u.test(key) || (key === "'" && name === "W") ? name.toLowerCase() : key;
    if (kind === "Digit") return shiftKey ? key : name;
    return (shiftKey && code === "Slash" ? "?" : PLACES[code]) || key;
  };
  // Move the focus by `by` elements among those that match a selector.
  S2.moveFocus = (selector, by) => {
    const all = [...document.querySelectorAll(selector)];
    const here = all.indexOf(document.activeElement.closest(selector));
    const next = all[Math.min(all.length - 1, Math.max(0, here + by))];
    if (next) next.focus();
  };
})();
