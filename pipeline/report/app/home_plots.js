"use strict";
// The plots of the landing page.
(() => {
  S2.homePlots = (overview, verdicts) => {
    const best = S2.countedCrops(overview);
    const hasCrops = S2.run.shapes.length > 0;
    return [
      hasCrops ? byShape(best, verdicts) : null,
      confidencePlot(best, overview),
      photosBy("status", overview.statuses, (name) => (S2.failed(name) ? "error" : "plain"), S2.words),
      photosBy("kind", overview.kinds, () => "plain"),
      work(S2.run.work),
      ...(hasCrops ? [places(best, overview), areas(best, overview)] : []),
    ];
  };
  const ofShape = (ratio) => S2.route("photos", { ratio });

  function byShape(best, verdicts) {
    const there = ["ok", "fallback", "review", "unjudged"].filter((name) =>
      verdicts.some(([, parts]) => parts.some(([kind, count]) => kind === name && count)),
    );
    return S2.plotCard(
      `${best[0].toUpperCase()}${best.slice(1)} by shape`,
      there.length ? there.map((name) => S2.el("span", { className: `key ${name}` }, S2.words(name))) : "",
      S2.stackedBars(
        "Crops by shape and verdict",
        verdicts.map(([shape, parts]) => [shape, parts, ofShape(shape)]),
      ),
    );
  }
  // Confidence; for runs without it, the margin of the best candidate over the next.
  function confidencePlot(best, { confidence, margin }) {
    if (confidence)
      return S2.plotCard(
        `Confidence of the ${best}`,
        "probability that a person would accept the crop",
        S2.histogram("Confidence of the crops", confidence, ["0", "1"]),
      );
    if (!margin) return null;
    const { low, high, counts } = margin;
    return S2.plotCard(
      `Margins of the ${best}`,
      "small margins are close calls",
      S2.histogram("Margins of the crops", { low, high, parts: [["plain", counts]] }, [
        low.toFixed(2),
        high.toFixed(2),
      ]),
    );
  }
  // A bar for each value of a column, if there are several values.
  function photosBy(column, counts, kindOf, words = (name) => name) {
    if (counts.length < 2) return null;
    const rows = counts.map(([name, count]) => [
      words(name),
      [[kindOf(name), count]],
      S2.route("photos", { [column]: name }),
    ]);
    return S2.plotCard(`Photos by ${column}`, "", S2.stackedBars(`Photos by ${column}`, rows));
  }
  function work({ seconds, limits, cpu }) {
    if (!seconds.length) return null;
    return S2.plotCard(
      cpu ? "CPU seconds by stage" : "Seconds of work by stage",
      limits || "all workers together",
      S2.stackedBars(
        "Seconds by stage",
        seconds.map(([name, s]) => [name, [["plain", s]]]),
      ),
    );
  }

  // A small plot for each shape, in one wide card.
  function maps(title, note, draw) {
    return S2.plotCard(
      title,
      note,
      S2.el("div", { className: "maps" }, S2.run.shapes.map(draw)),
      "plotcard wide",
    );
  }
  function places(best, overview) {
    return maps(
      `Positions of the ${best}`,
      "centres of the crops in the photo; the line is the median box",
      (shape, n) =>
        S2.link(
          [
            S2.heatMap(`Centres of the ${shape} crops`, overview.places[n], S2.shapeColour(shape)),
            S2.el("span", {}, shape),
          ],
          ofShape(shape),
        ),
    );
  }
  function areas(best, overview) {
    return maps(
      `How much of the photo the ${best} show`,
      "share of the photo's area, by shape",
      (shape, n) =>
        S2.el(
          "div",
          {},
          S2.histogram(
            `Area of the ${shape} crops`,
            { low: 0, high: 1, parts: [["plain", overview.places[n].area.counts]] },
            ["0", "all"],
            130,
          ),
          S2.el("span", {}, shape),
        ),
    );
  }
})();
