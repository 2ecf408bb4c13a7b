"use strict";
// What changed between two runs: figures, in total and by slice.
(() => {
  S2.diffFigures = (state) => [
    headFigures(),
    S2.run.settings.length ? settings(S2.run.settings) : null,
    S2.el("div", { className: "plots slices" }, overlapCard(), sliceCard(state)),
  ];
  const signed = (number) => {
    const shown = number.toFixed(3);
    if (Number(shown) === 0) return "0.000"; // not -0.000
    return number > 0 ? `+${shown}` : shown;
  };

  function headFigures() {
    const { changes, overlap, confidence, errors, verdicts } = S2.run;
    const figure = (value, words, kind, filter) =>
      S2.figure(value, words, kind, value && filter ? S2.route("", filter) : undefined);
    const some = (value, ...more) => (value ? figure(value, ...more) : null);
    const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
    return S2.el(
      "div",
      { className: "figures" },
      figure(changes.moved, "crops moved", "", { change: "moved" }),
      overlap.mean === null ? null : figure(overlap.mean.toFixed(3), "mean overlap (IoU)"),
      some(overlap.below["0.5"], "overlap below .5"),
      some(changes["re-encoded"], "re-encoded, same box", "", { change: "re-encoded" }),
      some(changes["changed photo"], "crops of changed photos", "", { change: "changed photo" }),
      some(changes["only old"] + changes["only new"], "in one run only"),
      Object.keys(verdicts).length ? reviewFigure(verdicts.review || [0, 0]) : null,
      confidence.delta_same_content === null
        ? null
        : figure(
            signed(confidence.delta_same_content),
            `mean change of confidence, ${S2.plural(confidence.both_same_content, "crop")} of unchanged photos`,
          ),
      some(total(errors.new), "photos now fail", "error", { error: "new" }),
      some(total(errors.gone), "no longer fail", "", { error: "gone" }),
    );
  }
  function reviewFigure([was, now]) {
    return S2.figure(`${S2.count(was)} → ${S2.count(now)}`, "crops to review, of all in each run", now > was ? "review" : "");
  }
  function settings(lines) {
    return S2.el(
      "details",
      { className: "facts" },
      S2.el("summary", {}, S2.plural(lines.length, "difference"), " between the runs"),
      S2.el(
        "ul",
        {},
        lines.map((line) => S2.el("li", {}, line)),
      ),
    );
  }
  function overlapCard() {
    const { overlap, reasons } = S2.run;
    const rows = Object.entries(reasons).map(([name, [was, now]]) => [
      S2.words(name),
      S2.count(was),
      S2.count(now),
    ]);
    const what = "common area of the two boxes (IoU), all crops of unchanged photos";
    return S2.plotCard("Overlap of before and after", what, [
      S2.histogram("Overlap of the crops", { low: 0, high: 1, parts: [["plain", overlap.histogram]] }, [
        "0",
        "1",
      ]),
      rows.length ? numbers(["reason", "before", "after"], rows) : null,
    ]);
  }
  function numbers(head, rows) {
    const line = (tag) => (cells) =>
      S2.el(
        "tr",
        {},
        cells.map((cell) => S2.el(tag, {}, cell)),
      );
    return S2.el(
      "table",
      { className: "numbers" },
      S2.el("thead", {}, line("th")(head)),
      S2.el("tbody", {}, rows.map(line("td"))),
    );
  }

  function sliceCard(state) {
    const names = Object.keys(S2.run.slices);
    const chosen = names.includes(state.slice) ? state.slice : "shape";
    const choice = names.map((name) =>
      S2.button(name, () => S2.go("", { ...state, slice: name }), {
        "aria-pressed": String(name === chosen),
      }),
    );
    const rows = S2.run.slices[chosen].map((row) => [
      row.name,
      S2.count(row.crops),
      row.compared ? S2.percent(row.moved / row.compared) : "–",
      row.overlap === null ? "–" : row.overlap.toFixed(3),
      row.confidence_delta_same_content === null ? "–" : signed(row.confidence_delta_same_content),
      `${S2.count(row.review_old)} → ${S2.count(row.review_new)}`,
    ]);
    const values = S2.run.slice_values[chosen];
    const more = values > rows.length ? `those ${S2.count(rows.length)} of ${S2.count(values)} with the most crops` : null;
    const head = [chosen, "crops", "moved", "mean overlap", "mean change of confidence", "to review"];
    return S2.el(
      "figure",
      { className: "plotcard slicecard" },
      S2.el("figcaption", {}, S2.el("b", {}, "By"), S2.el("div", { className: "buttons" }, choice), more ? S2.el("span", { className: "dim" }, more) : null),
      S2.reachable(
        S2.el("div", { className: "wide", role: "group", "aria-label": `By ${chosen}` }, numbers(head, rows)),
      ),
    );
  }
})();
