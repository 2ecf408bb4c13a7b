"use strict";
// The facts about one photo, and the CSS that shows a crop of it.
(() => {
  S2.photoFacts = (record) => {
    const focus = record.focus_x === undefined ? null : `${record.focus_x}, ${record.focus_y}`;
    const rows = [...known(record), ...(focus ? [["focus", focus]] : []), ...record.extra];
    return S2.el(
      "div",
      { className: "facts" },
      S2.el("h2", { className: "away" }, "Facts"),
      S2.factTable(rows),
      S2.el(
        "div",
        { className: "buttons" },
        S2.button("Copy link", () => S2.copy(location.href, "Link copied")),
        S2.button("Copy address", () => S2.copy(record.uri, "Address copied")),
        focus
          ? S2.button("Copy focus", () => S2.copy(focus, "Focus copied: shares of width and height"))
          : null,
      ),
    );
  };
  function known(record) {
    const rows = [["address", record.uri]];
    if (record.width_px) {
      const size = record.bytes === undefined ? null : S2.plural(record.bytes, "byte");
      const facts = [`${record.width_px} × ${record.height_px} px`, record.format, size];
      rows.push(["photo", facts.filter(Boolean).join(", ")]);
    }
    if (record.complete < 1)
      rows.push(["damaged", `${S2.percent(record.complete)} of its rows could be decoded`]);
    for (const name of ["kind", "frames", "override", "focus_source", "error_stage", "error_kind"]) {
      if (record[name] !== undefined && !(name === "frames" && record.frames === 1)) rows.push([S2.words(name), String(record[name])]);
    }
    if (record.seconds.length)
      rows.push(["seconds", record.seconds.map(([stage, s]) => `${stage} ${s.toFixed(3)}`).join(" · ")]);
    return rows;
  }

  // CSS with `object-fit: cover`, which shows the crop's place, and `object-view-box`, which shows it exactly.
  S2.css = (record, one) => {
    const [x0, y0, x1, y1] = one.box;
    const position = (low, size, side) => (side - size < 0.5 ? 50 : (100 * low) / (side - size));
    const [width, height] = [record.width_px, record.height_px];
    const viewBox = ([left, top, right, bottom]) => {
      const inset = [top / height, 1 - right / width, 1 - bottom / height, left / width].map(
        (share) => `${(100 * share).toFixed(2)}%`,
      );
      return inset.every((side) => side === "0.00%") ? "" : `object-view-box: inset(${inset.join(" ")}); `;
    };
    if (!S2.isCut(one)) {
      // The frame is shown in a circle or next to a caption, but not around part of a photo: the rest would show.
      const isPart = x0 > 0.5 || y0 > 0.5 || width - x1 > 0.5 || height - y1 > 0.5;
      const shown = viewBox(isPart || isContained(one) ? one.box : one.frame);
      return `object-fit: contain; ${shown}background-color: #${S2.run.ground};`;
    }
    return (
      `object-fit: cover; object-position: ${position(x0, x1 - x0, width).toFixed(1)}% ${position(y0, y1 - y0, height).toFixed(1)}%; ` +
      viewBox(one.box)
    ).trim();
  };
  // Whether a whole photo's place in its frame is the one that `object-fit: contain` gives it.
  function isContained({ box: [x0, y0, x1, y1], frame: [left, top, right, bottom] }) {
    const [beside, above] = [x0 - left, y0 - top];
    const isCentred = Math.abs(beside - (right - x1)) < 1 && Math.abs(above - (bottom - y1)) < 1;
    return isCentred && Math.min(beside, above) < 1;
  }
})();
