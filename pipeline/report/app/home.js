"use strict";
// The landing page of the gallery.
(() => {
  // The landing page: what needs eyes, then figures.
  S2.homePage = () => {
    const { overview, groups, facts } = S2.run;
    const verdicts = byVerdict(overview);
    return S2.el(
      "section",
      { className: "page home" },
      figures(overview, verdicts),
      S2.run.untrained
        ? S2.el(
            "p",
            { className: "warning" },
            "Untrained network: these crops have the right shapes and mean nothing.",
          )
        : "",
      S2.el("h2", {}, "Needs eyes"),
      groups.length
        ? S2.el(
            "div",
            { className: "groups" },
            groups.filter(({ kind }) => kind !== "error").map(groupCard),
            errorsCard(groups.filter(({ kind }) => kind === "error")),
          )
        : S2.el("p", { className: "note" }, "Nothing: no guard is broken, no photo failed."),
      S2.run.special.length
        ? [
            S2.el("h2", {}, "With a rule of their own"),
            S2.el("div", { className: "groups" }, S2.run.special.map(groupCard)),
          ]
        : "",
      S2.el("h2", {}, "Overview"),
      S2.el("div", { className: "plots" }, plots(overview, verdicts)),
      S2.el(
        "details",
        { className: "facts" },
        S2.el("summary", {}, "About this run"),
        S2.el(
          "table",
          {},
          S2.el(
            "tbody",
            {},
            facts.map(([name, value]) =>
              S2.el("tr", {}, S2.el("th", { scope: "row" }, name), S2.el("td", {}, value)),
            ),
          ),
        ),
      ),
    );
  };
  // What figures, plots, filters and lists are of: each shape's first crop, where there are others too.
  const bestCrops = (overview) => (overview.crops < overview.all_crops ? "best crops" : "crops");
  function byVerdict(overview) {
    const without = S2.someJudged() ? "unjudged" : "plain";
    return S2.run.shapes.map((shape, n) => {
      const counts = {};
      S2.run.pairs.forEach(([verdict], p) => {
        counts[verdict || without] = (counts[verdict || without] || 0) + (overview.decisions[n][p] || 0);
      });
      return [shape, ["ok", "plain", "fallback", "review", "unjudged"].map((name) => [name, counts[name] || 0])];
    });
  }
  function figures(overview, verdicts) {
    const ok = (overview.statuses.find(([name]) => name === "ok") || [0, 0])[1];
    const count = (name) =>
      verdicts.reduce((total, [, parts]) => total + parts.find(([kind]) => kind === name)[1], 0);
    const figure = (value, words, kind, href) =>
      S2.el(
        href ? "a" : "div",
        { className: `figure ${value ? kind || "" : ""}`, href },
        S2.el("b", {}, S2.count(value)),
        S2.el("span", {}, words),
      );
    const errors = overview.photos - ok;
    const judged = S2.someJudged();
    const best = bestCrops(overview);
    const ranked = best !== "crops";
    return S2.el(
      "div",
      { className: "figures" },
      figure(overview.photos, "photos", "", "#/photos"),
      figure(overview.crops, ranked ? `${best} of ${S2.count(overview.all_crops)}` : best),
      judged ? figure(count("review"), `${best} to review`, "review", "#/photos?verdict=review") : null,
      judged
        ? figure(
            count("fallback"),
            ranked ? `fallbacks of ${best}` : "fallbacks",
            "fallback",
            "#/photos?verdict=fallback",
          )
        : null,
      count("unjudged")
        ? figure(count("unjudged"), `${best} not judged`, "unjudged", "#/photos?verdict=unjudged")
        : null,
      figure(errors, "photos failed", "error", "#/photos?status=not+ok"),
    );
  }
  function groupCard(group) {
    const { overview } = S2.run;
    const titles = {
      review: S2.words(group.reason || "review"),
      fallback: `fallback: ${S2.words(group.reason || "fallback")}`,
      close: "least sure",
      kind: S2.words(group.reason),
      mark: S2.words(group.reason),
    };
    const about = {
      close: overview.confidence ? "lowest confidence, no other need" : "smallest leads, no other need",
    };
    const filter = {
      review: { verdict: "review", reason: group.reason },
      fallback: { verdict: "fallback", reason: group.reason },
      close: { need: "close" },
      kind: { kind: group.reason },
      mark: { mark: group.reason },
    };
    const query = new URLSearchParams(Object.entries(filter[group.kind]).filter(([, value]) => value));
    const strip = S2.el("div", { className: "strip waiting" });
    S2.groupStrip(group).then((made) => {
      strip.replaceWith(made);
      S2.mark("picture");
    });
    return S2.el(
      "section",
      { className: `group ${group.kind}` },
      S2.el(
        "header",
        {},
        S2.el("h3", {}, titles[group.kind]),
        S2.el(
          "span",
          { className: "dim" },
          S2.plural(group.count, "photo"),
          about[group.kind] ? `, ${about[group.kind]}` : "",
        ),
        S2.link("Show all", `#/photos?${query}`),
      ),
      strip,
    );
  }
  function errorsCard(groups) {
    if (!groups.length) return null;
    return S2.el(
      "section",
      { className: "group error" },
      S2.el("header", {}, S2.el("h3", {}, "errors by reason"), S2.link("Show all", "#/photos?status=not+ok")),
      S2.el(
        "ul",
        { className: "plainlist" },
        groups.map((group) => {
          const example = S2.el("span", { className: "dim grow" });
          S2.photo(group.first[0]).then((record) => {
            example.textContent = `${S2.fileName(record.uri)}: ${record.error_message || ""}`;
          });
          return S2.el(
            "li",
            {},
            S2.chip(S2.words(group.reason), "error"),
            S2.el("span", { className: "number" }, S2.count(group.count)),
            example,
            S2.link("Show", `#/photos?${new URLSearchParams({ status: group.reason })}`),
          );
        }),
      ),
    );
  }
  function plots(overview, verdicts) {
    const card = (title, note, ...body) =>
      S2.el(
        "figure",
        { className: "plotcard" },
        S2.el(
          "figcaption",
          {},
          S2.el("b", {}, title),
          note ? S2.el("span", { className: "dim" }, note) : null,
        ),
        body,
      );
    const href = (ratio) => `#/photos?ratio=${encodeURIComponent(ratio)}`;
    const best = bestCrops(overview);
    const cards = [
      card(
        `${best[0].toUpperCase()}${best.slice(1)} by shape`,
        verdictWords(verdicts),
        S2.stackedBars(
          "Crops by shape and verdict",
          verdicts.map(([shape, parts]) => [shape, parts, href(shape)]),
        ),
      ),
    ];
    if (overview.confidence) {
      cards.push(
        card(
          `Confidence of the ${best}`,
          "probability that a person would accept the crop",
          S2.histogram("Confidence of the crops", overview.confidence, ["0", "1"]),
        ),
      );
    } else if (overview.margin) {
      const { low, high, counts } = overview.margin;
      cards.push(
        card(
          `Lead of the ${best}`,
          "small leads are close calls",
          S2.histogram("Lead of the crops", { low, high, parts: [["plain", counts]] }, [
            low.toFixed(2),
            high.toFixed(2),
          ]),
        ),
      );
    }
    if (overview.statuses.length > 1) {
      cards.push(
        card(
          "Photos by status",
          "",
          S2.stackedBars(
            "Photos by status",
            overview.statuses.map(([name, count]) => [
              S2.words(name),
              [[name === "ok" ? "plain" : "error", count]],
              `#/photos?status=${encodeURIComponent(name)}`,
            ]),
          ),
        ),
      );
    }
    if (overview.kinds.length > 1) {
      cards.push(
        card(
          "Photos by kind",
          "",
          S2.stackedBars(
            "Photos by kind",
            overview.kinds.map(([name, count]) => [
              name,
              [["plain", count]],
              `#/photos?kind=${encodeURIComponent(name)}`,
            ]),
          ),
        ),
      );
    }
    const { seconds, limits, cpu } = S2.run.work;
    if (seconds.length) {
      cards.push(
        card(
          cpu ? "CPU seconds by stage" : "Seconds of work by stage",
          limits || "all workers together",
          S2.stackedBars(
            "Seconds by stage",
            seconds.map(([name, s]) => [name, [["plain", s]]]),
          ),
        ),
      );
    }
    cards.push(
      S2.el(
        "figure",
        { className: "plotcard wide" },
        S2.el(
          "figcaption",
          {},
          S2.el("b", {}, `Where the ${best} lie`),
          S2.el(
            "span",
            { className: "dim" },
            "centres of the crops in the photo; the line is the median box",
          ),
        ),
        S2.el(
          "div",
          { className: "maps" },
          S2.run.shapes.map((shape, n) =>
            S2.el(
              "a",
              { href: href(shape) },
              S2.heatMap(`Centres of the ${shape} crops`, overview.places[n], S2.shapeColour(shape)),
              S2.el("span", {}, shape),
            ),
          ),
        ),
      ),
    );
    cards.push(
      S2.el(
        "figure",
        { className: "plotcard wide" },
        S2.el(
          "figcaption",
          {},
          S2.el("b", {}, `How much of the photo the ${best} show`),
          S2.el("span", { className: "dim" }, "share of the photo's area, by shape"),
        ),
        S2.el(
          "div",
          { className: "maps" },
          S2.run.shapes.map((shape, n) =>
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
          ),
        ),
      ),
    );
    return cards;
  }
  const verdictWords = (verdicts) => {
    const there = ["ok", "fallback", "review", "unjudged"].filter((name) =>
      verdicts.some(([, parts]) => parts.some(([kind, count]) => kind === name && count)),
    );
    return there.length
      ? there.map((name) => S2.el("span", { className: `key ${name}` }, S2.words(name)))
      : "";
  };
})();
