// Draws the figures of a page (figure.chart[data-figure]) with plotly, which is loaded when the first comes near the
// screen. The service says what is drawn; the colours are the page's, and change with them.
(() => {
  "use strict";

  const DAY = 86_400_000;
  const RANGES = [["1 month", 30], ["3 months", 91], ["1 year", 365], ["All", Infinity]];
  const CONFIG = {
    displayModeBar: false, responsive: true, doubleClick: "reset", scrollZoom: false, showTips: false,
    locale: document.documentElement.lang || "en",
  };
  // plotly's bundle adds a style sheet for maps unless this id is taken; the pages have no maps, and allow no such sheet
  const MAP_STYLE = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";

  const drawn = new Map(); // figure → what was drawn in it: { Plotly, plot, found }
  let bundle = null;

  function plotly() {
    bundle ??= new Promise((resolve, reject) => {
      const taken = document.createElement("meta");
      taken.id = MAP_STYLE;
      const script = document.createElement("script");
      script.src = document.documentElement.dataset.plotly;
      script.addEventListener("load", () => resolve(window.Plotly));
      script.addEventListener("error", () => reject(new Error("plotly was not loaded")));
      document.head.append(taken, script);
    });
    return bundle;
  }

  // A part of a figure, before another of its parts; it is made where the page has none.
  function part(figure, name, tag, before) {
    let found = figure.querySelector(`:scope > .${name}`);
    if (!found) {
      found = document.createElement(tag);
      found.className = name;
      figure.insertBefore(found, figure.querySelector(`:scope > ${before}`));
    }
    return found;
  }

  // What is drawn on and the buttons above it, which can be pressed once something is drawn: their place is kept.
  function prepare(figure) {
    part(figure, "plot", "div", "details");
    const row = part(figure, "ranges", "div", ".plot");
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Time shown");
    row.replaceChildren(...RANGES.map(([label]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.disabled = true;
      button.textContent = label;
      return button;
    }));
  }

  function end(figure, state, sentence) {
    figure.dataset.state = state;
    if (state !== "ready") figure.querySelector(":scope > .ranges").remove();
    say(figure, sentence);
  }

  // What is said in the place of what is drawn; nothing, and it is hidden from everybody.
  function say(figure, sentence) {
    const status = part(figure, "empty", "p", "details");
    status.setAttribute("role", "status");
    status.hidden = sentence === "";
    status.textContent = sentence;
  }

  // The figure in the colours of the page as they are now.
  function themed({ data, layout }, plot) {
    const colour = (name) => {
      plot.style.color = `var(${name})`;
      return getComputedStyle(plot).color;
    };
    const [ink, quiet, line, surface] = ["--ink", "--ink-quiet", "--line", "--surface"].map(colour);
    const series = data.map((trace) => (trace.meta.is_hover ? quiet : colour(`--chart-${trace.meta.series + 1}`)));
    plot.style.color = "";
    const isNamed = plot.parentElement.hasAttribute("aria-label"); // by the page, which has the title above it
    const painted = {
      ...layout,
      title: isNamed ? undefined : layout.title,
      margin: { ...layout.margin, t: isNamed ? 8 : layout.margin.t },
      uirevision: "kept",
      paper_bgcolor: "rgba(0, 0, 0, 0)",
      plot_bgcolor: "rgba(0, 0, 0, 0)",
      font: { color: quiet, family: getComputedStyle(plot).fontFamily, size: 12 },
      legend: { ...layout.legend, font: { color: ink } },
      hoverlabel: { bgcolor: surface, bordercolor: line, font: { color: ink }, align: "left", namelength: -1 },
    };
    for (const name of axes(layout)) {
      painted[name] = { ...layout[name], gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true };
    }
    return [
      data.map((trace, place) => ({
        ...trace,
        line: { ...trace.line, color: series[place] },
        marker: { ...trace.marker, color: series[place] },
      })),
      painted,
    ];
  }

  const axes = (layout) => Object.keys(layout).filter((name) => /^[xy]axis/.test(name));

  // Instants as plotly writes them: in UTC, without saying so, and short where it can be.
  const toText = (time) => new Date(time).toISOString().replace("T", " ").replace("Z", "");
  const toTime = (text) => {
    const [day, clock = "00:00"] = String(text).split(/[ T]/);
    return Date.parse(`${day}T${clock}Z`);
  };

  function addRanges(Plotly, figure, plot, { layout }) {
    const [first, last] = [toTime(layout.meta.from), toTime(layout.meta.to)];
    const buttons = [...figure.querySelectorAll(":scope > .ranges > button")].map((button, place) => {
      const days = RANGES[place][1];
      const from = Math.max(first, last - days * DAY);
      button.disabled = days !== Infinity && from === first;
      button.addEventListener("click", () => {
        const change = { "xaxis.range": [toText(from), layout.meta.to] };
        for (const name of axes(layout).filter((axis) => axis.startsWith("y"))) {
          change[`${name}.autorange`] = layout[name].autorange ?? true;
        }
        Plotly.relayout(plot, change);
      });
      return [button, from];
    });
    const mark = () => {
      const [from, to] = plot.layout.xaxis.range.map(toTime);
      for (const [button, begin] of buttons) {
        const isShown = Math.abs(from - begin) < 1000 && Math.abs(to - last) < 1000;
        button.setAttribute("aria-pressed", String(isShown && !button.disabled));
      }
    };
    plot.on("plotly_relayout", mark);
    mark();
  }

  async function draw(figure) {
    figure.dataset.state = "loading";
    say(figure, "Loading the chart …");
    const plot = figure.querySelector(":scope > .plot");
    try {
      const loading = plotly();
      loading.catch(() => {}); // told below
      const answer = await fetch(figure.dataset.figure, { headers: { Accept: "application/json" } });
      if (answer.status === 404) return end(figure, "empty", "Nothing is known yet that could be drawn here.");
      if (!answer.ok) throw new Error(`the figure was answered with ${answer.status}`);
      const found = await answer.json();
      const Plotly = await loading;
      if (!figure.isConnected) return undefined;
      await Plotly.newPlot(plot, ...themed(found, plot), CONFIG);
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", found.layout.meta.summary);
      addRanges(Plotly, figure, plot, found);
      drawn.set(figure, { Plotly, plot, found });
      return end(figure, "ready", "");
    } catch {
      return end(figure, "failed", "The chart could not be loaded. Load the page again to try once more.");
    }
  }

  const near = new IntersectionObserver((seen) => {
    for (const { target } of seen.filter((it) => it.isIntersecting)) {
      near.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "200px" });

  // Watches figures that are new, and lets go of those that left the page.
  function watch() {
    for (const [figure, { Plotly, plot }] of drawn) {
      if (!figure.isConnected) {
        Plotly.purge(plot);
        drawn.delete(figure);
      }
    }
    for (const figure of document.querySelectorAll("figure.chart[data-figure]:not([data-state])")) {
      prepare(figure);
      near.observe(figure);
    }
  }

  // New colours; what is shown and hidden stays.
  function repaint() {
    for (const { Plotly, plot, found } of drawn.values()) {
      const [data, layout] = themed(found, plot);
      for (const name of axes(layout)) {
        const { range, autorange } = plot.layout[name];
        layout[name] = { ...layout[name], range, autorange };
      }
      Plotly.react(plot, data, layout, CONFIG);
    }
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  document.addEventListener("llmhive:swapped", watch);
  watch();
})();
