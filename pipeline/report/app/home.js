"use strict";
// The landing page of the gallery: what needs attention, then figures.
(() => {
  S2.homePage = () => {
    const { overview, groups, special, facts, untrained } = S2.run;
    const verdicts = byVerdict(overview);
    return S2.el(
      "section",
      { className: "page home" },
      S2.el("h1", { className: "away" }, "Overview of the run"),
      figures(overview, verdicts),
      untrained
        ? S2.el(
            "p",
            { className: "warning" },
            "Untrained network: the crops have the right shapes but are otherwise meaningless.",
          )
        : "",
      S2.el("div", { className: "headline" }, S2.el("h2", {}, "Needs attention"), S2.safeAreasButton()),
      groups.length
        ? S2.groupCards(groups)
        : S2.note("Nothing: no guard is broken, no photo failed."),
      special.length ? [S2.el("h2", {}, "Special treatment"), S2.groupCards(special)] : "",
      S2.el("h2", {}, "Overview"),
      S2.el("div", { className: "plots" }, S2.homePlots(overview, verdicts)),
      S2.el(
        "details",
        { className: "facts" },
        S2.el("summary", {}, "About this run"),
        S2.factTable(facts),
      ),
    );
  };
  // The name of the crops in figures, plots, filters and lists: if shapes have several, only the best.
  S2.countedCrops = (overview) => (overview.crops < overview.all_crops ? "best crops" : "crops");

  // The number of crops by shape and verdict: [shape, [[kind, count], …]].
  function byVerdict(overview) {
    const without = S2.anyJudged() ? "unjudged" : "plain";
    return S2.run.shapes.map((shape, n) => {
      const counts = {};
      S2.run.pairs.forEach(([verdict], p) => {
        counts[verdict || without] = (counts[verdict || without] || 0) + (overview.decisions[n][p] || 0);
      });
      return [shape, ["ok", "plain", "fallback", "review", "unjudged"].map((name) => [name, counts[name] || 0])];
    });
  }
  function figures(overview, verdicts) {
    const failed = overview.statuses.reduce((sum, [name, n]) => sum + (S2.failed(name) ? n : 0), 0);
    const count = (name) =>
      verdicts.reduce((total, [, parts]) => total + parts.find(([kind]) => kind === name)[1], 0);
    const judged = (words, name) => S2.figure(count(name), words, name, S2.route("photos", { verdict: name }));
    const best = S2.countedCrops(overview);
    const ranked = best !== "crops";
    return S2.el(
      "div",
      { className: "figures" },
      S2.figure(overview.photos, "photos", "", "#/photos"),
      S2.figure(overview.crops, ranked ? `${best} of ${S2.count(overview.all_crops)}` : best),
      S2.anyJudged()
        ? [
            judged(`${best} to review`, "review"),
            judged(ranked ? `fallbacks of ${best}` : "fallbacks", "fallback"),
          ]
        : null,
      count("unjudged") ? judged(`${best} not judged`, "unjudged") : null,
      S2.figure(failed, "photos failed", "error", S2.route("photos", { status: "not ok" })),
    );
  }
})();
