"use strict";
// What the theme leaves out for screen readers and keyboards: a name for its search, and a focus for tables that are
// wider than the page, so that the arrow keys can scroll them.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
addEventListener("load", () => {
  for (const node of document.querySelectorAll(".md-typeset__scrollwrap"))
    if (node.scrollWidth > node.clientWidth) node.tabIndex = 0;
});
