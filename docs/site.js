// What the theme leaves out for screen readers and keyboards: a name for its search, menus of one landmark each,
// notices that are read out, and a focus for tables that are wider than the page, so that the arrow keys can scroll
// them.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
document.querySelector(".md-dialog")?.setAttribute("role", "status"); // it says "Copied to clipboard"
{
  // The theme makes each section of a menu, and the copy button of each block of code, a navigation of its own: some
  // without a name, some with the name of another.
  const PARTS = ".md-nav .md-nav, .md-search__options, .md-code__nav";
  const group = () => {
    for (const node of document.querySelectorAll(`:is(${PARTS}):not([role])`)) {
      node.setAttribute("role", "group");
      node.removeAttribute("aria-expanded"); // not of groups, and wrong in wide windows, which show all sections
    }
  };
  group();
  new MutationObserver(group).observe(document.body, { childList: true, subtree: true }); // copy buttons come later
}
addEventListener("load", () => {
  for (const node of document.querySelectorAll(".md-typeset__scrollwrap"))
    if (node.scrollWidth > node.clientWidth) node.tabIndex = 0;
});
