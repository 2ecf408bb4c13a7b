"use strict";
// What an interface covers of the crops (`--safe-areas`), drawn over them on request. It is part of every drawing, and
// a class of the page shows it, so that it stays on from photo to photo.
(() => {
  // The corners around a circle, in shares of the crop's sides. As the rectangles, they go around clockwise, so that
  // parts that overlap are filled only once.
  const CORNERS =
    "M0 0H.5A.5 .5 0 0 0 0 .5Z M1 0V.5A.5 .5 0 0 0 .5 0Z M1 1H.5A.5 .5 0 0 0 1 .5Z M0 1V.5A.5 .5 0 0 0 .5 1Z";
  const CIRCLE = "M0 .5A.5 .5 0 0 1 1 .5A.5 .5 0 0 1 0 .5";
  const part = ([x0, y0, x1, y1]) => `M${x0} ${y0}H${x1}V${y1}H${x0}Z`;
  // What covers a crop. Runs differ in it, and so do the two sides of a comparison: `areas` is the place of a crop's run
  // in the list, by default the first.
  const areaOf = ({ ratio, areas = 0 }) => ((S2.run.safe_areas || [])[areas] || {})[ratio];

  // The lines between what is covered and what is seen: without the crop's own sides, and without those between two
  // covered rectangles, which meet in whole sides (pipeline/settings/safe_areas.py).
  function borders({ circle, covered }) {
    const sides = covered.flatMap(([x0, y0, x1, y1]) => [
      ...[x0, x1].filter((x) => x > 0 && x < 1).map((x) => `M${x} ${y0}V${y1}`),
      ...[y0, y1].filter((y) => y > 0 && y < 1).map((y) => `M${x0} ${y}H${x1}`),
    ]);
    const once = sides.filter((side) => sides.indexOf(side) === sides.lastIndexOf(side));
    return [circle ? CIRCLE : "", ...once].join(" ");
  }

  S2.hasSafeAreas = () => (S2.run.safe_areas || []).some((areas) => Object.keys(areas).length > 0);
  // The covered part of a crop, in source pixels; null for a shape without one. A whole photo's frame is covered.
  S2.coveredPart = (crop, more = {}) => {
    const area = areaOf(crop);
    if (!area) return null;
    const [x0, y0, x1, y1] = crop.frame || crop.box;
    const transform = `translate(${x0} ${y0}) scale(${x1 - x0} ${y1 - y0})`;
    return S2.svg(
      "g",
      { class: "covered", transform, ...more },
      S2.svg("path", { class: "cover", d: [area.circle ? CORNERS : "", ...area.covered.map(part)].join(" ") }),
      S2.svg("path", { class: "border", d: borders(area) }),
    );
  };
  // A crop's picture with its covered part over it.
  S2.underCovers = (picture, { ratio, areas }) => {
    const covered = S2.coveredPart({ ratio, areas, box: [0, 0, 1, 1] });
    if (!covered) return picture;
    const view = { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" };
    return S2.el("span", { className: "covers" }, picture, S2.svg("svg", view, covered));
  };

  const isShown = () => document.body.classList.contains("covering");
  S2.toggleSafeAreas = () => {
    if (!S2.hasSafeAreas()) return;
    document.body.classList.toggle("covering");
    for (const button of document.querySelectorAll(".safeareas"))
      button.setAttribute("aria-pressed", String(isShown()));
  };
  // The button that shows them; null for runs without safe areas.
  S2.safeAreasButton = () =>
    S2.hasSafeAreas()
      ? S2.button("Safe areas", S2.toggleSafeAreas, {
          className: "safeareas",
          "aria-pressed": String(isShown()),
          title: "Show what covers the crops: s",
        })
      : null;
})();
