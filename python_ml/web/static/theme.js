// Before anything is drawn, so that the page does not flash.
(function () {
  "use strict";
  var root = document.documentElement;
  try {
    var kept = localStorage.getItem("swiftbolt-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch (error) {
    // Without storage the reader's system decides.
  }
  root.classList.add("scripted");
})();
