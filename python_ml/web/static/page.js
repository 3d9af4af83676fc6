// Draws the figures, copies queries, writes CSV and switches the theme.
(function () {
  "use strict";
  var root = document.documentElement;

  // Colours of a figure are names of the style sheet's variables.
  function filled(value, styles) {
    if (typeof value === "string") {
      if (value[0] !== "@") return value;
      if (value === "@clear") return "rgba(0,0,0,0)";
      return styles.getPropertyValue("--" + value.slice(1)).trim() || value;
    }
    if (Array.isArray(value)) {
      return value.map(function (item) { return filled(item, styles); });
    }
    if (value && typeof value === "object") {
      var made = {};
      Object.keys(value).forEach(function (key) {
        made[key] = filled(value[key], styles);
      });
      return made;
    }
    return value;
  }

  // A long name in two lines, so that it leaves room for the figure.
  function folded(name) {
    var middle = name.length / 2;
    var spaces = Array.from(name.matchAll(/ /g), function (found) { return found.index; });
    if (name.length < 18 || !spaces.length) return name;
    var space = spaces.reduce(function (best, next) {
      return Math.abs(next - middle) < Math.abs(best - middle) ? next : best;
    });
    return name.slice(0, space) + "<br>" + name.slice(space + 1);
  }

  function foldNames(axis, traces) {
    var names = traces.flatMap(function (trace) { return trace.y; });
    names = Array.from(new Set(names)).filter(Boolean);
    axis.tickvals = names;
    axis.ticktext = names.map(folded);
    var isFolded = axis.ticktext.some(function (text, number) { return text !== names[number]; });
    return isFolded ? names.length : 0;
  }

  function draw(source) {
    var place = document.getElementById(source.dataset.plot);
    var figure = JSON.parse(source.textContent);
    var made = filled(figure, getComputedStyle(root));
    var layout = made.layout;
    layout.height = figure.height;
    if (place.clientWidth < 520) {
      layout.font.size = 11;
      // The legend takes rows of two where it takes one elsewhere.
      layout.height += 10 * made.data.filter(function (trace) {
        return trace.showlegend !== false && trace.name;
      }).length;
      layout.xaxis.nticks = 4;
      if (layout.yaxis.type === "category") {
        layout.height += 6 * foldNames(layout.yaxis, made.data);
      }
      if (layout.xaxis.tickvals) {
        layout.xaxis.tickangle = 0;
        var step = Math.ceil(layout.xaxis.tickvals.length / 3);
        var keep = function (_, number) { return number % step === 0; };
        layout.xaxis.tickvals = layout.xaxis.tickvals.filter(keep);
        layout.xaxis.ticktext = layout.xaxis.ticktext.filter(keep);
      }
    }
    // Plotly fits a figure to its place when the window changes.
    place.style.height = layout.height + "px";
    return Plotly.react(place, made.data, layout, {
      displayModeBar: false, responsive: true, scrollZoom: false,
      doubleClick: false, showTips: false
    });
  }

  function drawAll() {
    if (!window.Plotly) return;
    var sources = Array.from(document.querySelectorAll("script[data-plot]"));
    root.dataset.drawn = "no";
    // One after the other, so that the first can be read meanwhile.
    (function next() {
      var source = sources.shift();
      if (!source) { root.dataset.drawn = "yes"; return; }
      Promise.resolve(draw(source)).then(function () { setTimeout(next, 0); });
    })();
  }

  function isDark() {
    if (root.dataset.theme) return root.dataset.theme === "dark";
    return matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function tableText(table) {
    return Array.from(table.rows).map(function (row) {
      return Array.from(row.cells).map(function (cell) {
        var text = cell.textContent.trim().replace(/\s+/g, " ");
        if (/^[=@\t]/.test(text) || /^[+-](?![\d.])/.test(text)) text = "'" + text;
        return '"' + text.replace(/"/g, '""') + '"';
      }).join(",");
    }).join("\r\n");
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button");
    if (!button) return;
    if (button.id === "theme") {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("swiftbolt-theme", root.dataset.theme);
      } catch (error) {
        // It holds for this page then.
      }
      drawAll();
    } else if (button.classList.contains("copy")) {
      var text = document.getElementById(button.dataset.copies).textContent;
      var done = function () { button.textContent = "Copied"; };
      if (navigator.clipboard) {
        navigator.clipboard.writeText(text).then(done, function () {
          button.textContent = "Select it and copy";
        });
      }
    } else if (button.classList.contains("csv")) {
      var table = button.closest(".block").querySelector("table");
      var link = document.createElement("a");
      link.href = URL.createObjectURL(
        new Blob([tableText(table)], { type: "text/csv" })
      );
      link.download = button.dataset.file;
      link.click();
    }
  });

  document.addEventListener("keydown", function (event) {
    var search = document.getElementById("search");
    var isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && search && !isTyping) {
      event.preventDefault();
      search.focus();
    }
  });

  // Choosing from the list is enough, no Enter is needed.
  var search = document.getElementById("search");
  if (search) {
    search.addEventListener("input", function (event) {
      if (event.inputType === "insertReplacementText" || !event.inputType) {
        search.form.requestSubmit();
      }
    });
  }

  // On a phone the row of pages is wider than the screen.
  var row = document.querySelector(".bar nav");
  var current = row && row.querySelector("[aria-current]");
  if (current) {
    row.scrollLeft = current.offsetLeft - (row.clientWidth - current.offsetWidth) / 2;
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  // A phone that is turned gets the figures of its new width.
  matchMedia("(max-width: 600px)").addEventListener("change", drawAll);
  drawAll();
})();
