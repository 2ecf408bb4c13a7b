"use strict";
// The groups of photos on the landing page: those that need attention, those with special treatment.
(() => {
  // One card for each group, and a single card for all errors.
  S2.groupCards = (groups) =>
    S2.el(
      "div",
      { className: "groups" },
      groups.filter(({ kind }) => kind !== "error").map(groupCard),
      errorsCard(groups.filter(({ kind }) => kind === "error")),
    );
  function groupCard(group) {
    const { title, about, filter } = describe(group);
    const waiting = S2.el("div", { className: "strip waiting" });
    strip(group).then(
      (made) => {
        waiting.replaceWith(made);
        S2.mark("picture");
      },
      (error) => waiting.replaceWith(S2.note(error.message)),
    );
    return S2.el(
      "section",
      { className: `group ${group.kind}` },
      S2.el(
        "header",
        {},
        S2.el("h3", {}, title),
        S2.el("span", { className: "dim" }, S2.plural(group.count, "photo"), about ? `, ${about}` : ""),
        S2.link("Show all", S2.route("photos", filter)),
      ),
      waiting,
    );
  }
  // A group's title and description, and the filters that find its photos.
  function describe({ kind, reason }) {
    if (kind === "close")
      return {
        title: "least sure",
        about: S2.run.overview.confidence
          ? "lowest confidence, no other reason"
          : "smallest margins, no other reason",
        filter: { need: kind },
      };
    if (kind === "kind" || kind === "mark") return { title: S2.words(reason), filter: { [kind]: reason } };
    const words = S2.words(reason || kind);
    return { title: kind === "fallback" ? `fallback: ${words}` : words, filter: { verdict: kind, reason } };
  }
  function errorsCard(groups) {
    if (!groups.length) return null;
    return S2.el(
      "section",
      { className: "group error" },
      S2.el(
        "header",
        {},
        S2.el("h3", {}, "errors by reason"),
        S2.link("Show all", S2.route("photos", { status: "not ok" })),
      ),
      S2.el("ul", { className: "plainlist" }, groups.map(errorLine)),
    );
  }
  function errorLine(group) {
    const example = S2.el("span", { className: "dim grow" });
    S2.photo(group.first[0]).then(
      (record) => {
        example.append(S2.el("bdi", {}, S2.fileName(record.uri)), `: ${record.error_message || ""}`);
      },
      (error) => {
        example.textContent = error.message;
      },
    );
    return S2.el(
      "li",
      {},
      S2.chip(S2.words(group.reason), "error"),
      S2.el("span", { className: "number" }, S2.count(group.count)),
      example,
      S2.link("Show", S2.route("photos", { status: group.reason })),
    );
  }

  // The first photos of a group: the crop at fault, or the whole photo if the group is about photos.
  async function strip(group) {
    const records = await Promise.all(group.first.map(S2.photo));
    const ofPhotos = group.kind === "kind" || group.kind === "mark";
    return S2.el(
      "div",
      { className: "strip" },
      records.map((record, n) => (ofPhotos ? wholeFigure : cropFigure)(record, group.first[n], group)),
    );
  }
  function wholeFigure(record, place, group) {
    const picture = record.preview ? S2.whole(record) : S2.noPhoto(record);
    return S2.el("figure", { className: "hero" }, linked(record, picture, place, group, S2.fileName(record.uri)));
  }
  function cropFigure(record, place, group) {
    const crop = exampleCrop(record, group);
    const shown = record.preview && (crop ? S2.tile(record, crop, S2.TALL) : S2.whole(record));
    const picture = shown || S2.noPicture(S2.fileName(record.uri));
    const caption = shown && crop ? crop.ratio : record.error_message || "";
    return S2.el("figure", {}, linked(record, picture, place, group, caption, crop));
  }
  function exampleCrop(record, { kind, reason }) {
    const sure = (crop) => crop.confidence ?? crop.margin ?? 9;
    const best = S2.bestCrops(record);
    return (
      best.find((crop) => crop.verdict === kind && (crop.reason || "") === reason) ||
      best.sort((a, b) => sure(a) - sure(b))[0]
    );
  }
  function linked(record, picture, place, group, caption, crop) {
    return [
      S2.link(picture, S2.photoRoute(place, crop, describe(group).filter), { title: record.uri }),
      S2.el("figcaption", {}, S2.el("span", { className: "dim" }, caption)),
    ];
  }
})();
