"use strict";
// Input fields, paging of a list, and the notice at the bottom of the window.
(() => {
  // A search field for photos' addresses, which are file names and folders to people; `go` gets the text once typing
  // has paused.
  S2.search = (text, go) => {
    let typing;
    const field = S2.el("input", {
      type: "search",
      id: "search",
      placeholder: "Search names, folders  ( / )",
      value: text || "",
      "data-sent": text || "", // what the list is of
      onkeydown: (event) => event.key === "Enter" && event.target.blur(), // so that the page's keys work again
      oninput: later,
    });
    function later() {
      clearTimeout(typing);
      typing = setTimeout(() => {
        if (!field.isConnected) return; // another page is shown by now
        field.dataset.sent = field.value;
        go(field.value);
      }, 250);
    }
    // Letters typed after the list's address was changed, and before this list took the place of the last.
    const last = document.getElementById("search");
    if (last && last.dataset.sent === field.value && last.value !== field.value) {
      field.value = last.value;
      later();
    }
    const label = S2.el("span", { className: "away" }, "Search file names and folders");
    return S2.el("label", { className: "search" }, label, field);
  };
  // A filter's select field; `choose` gets the chosen value. options: [value, words]. A value that is none of them,
  // as in a link to another gallery, is shown too: the list is empty because of it.
  S2.select = (label, name, options, chosen, choose) =>
    S2.el(
      "label",
      {},
      label,
      S2.el(
        "select",
        { name, onchange: (event) => choose(event.target.value) },
        S2.el("option", { value: "" }, "any"),
        options.map(([value, words]) => S2.el("option", { value, selected: chosen === value }, words)),
        chosen && !options.some(([value]) => value === chosen)
          ? S2.el("option", { value: chosen, selected: true }, chosen)
          : null,
      ),
    );

  // The address of a page with a state, for instance its filters.
  S2.route = (name, state = {}) => {
    const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
    return `#/${name}${query.size ? `?${query}` : ""}`;
  };
  // replaces: whether the browser's history forgets the page that is left.
  S2.go = (name, state, replaces) => {
    if (replaces) location.replace(S2.route(name, state));
    else location.hash = S2.route(name, state);
  };

  // The address of one photo; if a crop is given, with only that crop shown. state: of the list that it is one of.
  S2.photoRoute = (place, crop, state = {}) =>
    S2.route(`photo/${place}${crop ? `/${encodeURIComponent(crop.ratio)}` : ""}`, { ...state, page: undefined });

  // The page number in a state, from 1, clamped to the pages of a list of `photos` photos.
  S2.pageOf = (state, photos, size) => {
    const pages = Math.max(1, Math.ceil(photos / size));
    return { page: Math.min(pages, Math.max(1, Math.trunc(state.page) || 1)), pages };
  };
  // Buttons to the previous and next page; `turn` gets the page number.
  S2.pager = ({ page, pages }, turn, ...between) =>
    pages === 1
      ? null
      : S2.el(
          "nav",
          { className: "pager", "aria-label": "Pages" },
          S2.button("‹", () => turn(page - 1), {
            disabled: page === 1,
            "aria-label": "Previous page",
            title: "[",
          }),
          between,
          S2.button("›", () => turn(page + 1), {
            disabled: page === pages,
            "aria-label": "Next page",
            title: "]",
          }),
        );

  S2.copy = async (text, notice = "Copied") => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      if (!copySelected(text)) return S2.notify("Nothing is copied: the browser does not allow it");
    }
    S2.notify(notice);
  };
  // Copy as older browsers do, and all of them for pages of plain http; whether it worked.
  function copySelected(text) {
    const held = document.activeElement;
    const area = S2.el("textarea", { value: text, className: "away" });
    document.body.append(area);
    area.select();
    const works = document.execCommand("copy");
    area.remove();
    held.focus({ preventScroll: true });
    return works;
  }
  let fading;
  S2.notify = (text) => {
    const toast = document.getElementById("toast");
    toast.textContent = text;
    toast.className = "shown";
    clearTimeout(fading);
    fading = setTimeout(() => {
      toast.className = "";
    }, 1200 + 60 * text.length);
  };
  // Tell screen readers what a page shows by now; it is not drawn.
  S2.say = (text) => {
    document.getElementById("said").textContent = text;
  };
})();
