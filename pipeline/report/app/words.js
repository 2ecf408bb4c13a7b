"use strict";
// Format numbers and names for people.
(() => {
  S2.count = (number) => number.toLocaleString("en-US");
  S2.plural = (number, word) => `${S2.count(number)} ${word}${number === 1 ? "" : "s"}`;
  S2.CONFIDENCE_TITLE = "confidence: how likely a person is to accept the crop";
  S2.percent = (share) => `${Math.round(100 * share)} %`;
  const WORDS = {
    ok: "ok",
    review: "to review",
    fallback: "fallback",
    unjudged: "not judged",
    head_cut: "head cut",
    face_cut: "face cut",
    text_cut: "text cut",
    subject_cut: "subject cut",
    unsafe_area: "outside the safe area",
    low_confidence: "low confidence",
    fallback_next: "next choice",
    fallback_largest: "largest crop",
    fallback_pad: "padded",
    fallback_blur: "blurred ground",
    fallback_skip: "left out",
    override: "by a person",
    override_outside: "a person's box is outside",
    overridden: "decided by a person",
    skipped: "a shape left out",
    skipped_animated: "animated, left out",
    borders: "borders left out",
    damaged: "damaged photos",
    screenshot: "screenshots",
    "text-heavy": "text-heavy pictures",
    long: "long photos",
    animated: "animated pictures",
  };
  // Whether a photo's status is the reason of a failure.
  S2.failed = (status) => status !== "ok" && status !== "skipped_animated";
  S2.words = (name) => WORDS[name] || String(name ?? "").replaceAll("_", " ");
  // The shape and, if it is not the best of its shape, the place of a crop: 1:1, 1:1 #2.
  S2.cropName = ({ ratio, rank }) => ratio + (rank ? ` #${rank + 1}` : "");
  S2.fileName = (uri) => uri.slice(uri.lastIndexOf("/") + 1) || uri;
  // A text as it is compared with others: macOS writes é in names as e and an accent.
  S2.searchable = (text) => text.toLowerCase().normalize();
  S2.folder = (uri) => uri.slice(0, uri.lastIndexOf("/") + 1);
})();
