// Draws the figures in the colours of the page, redraws them when the page turns light or dark, and lets the chips
// show and hide experiments. The figures come as JSON from kaggle_ray/report/figures.py.
(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  // plotly.js would add a button that uploads the figure to its makers' site: the page stays with its reader.
  const config = {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]],
    showSendToCloud: false, plotlyServerURL: "",
  };
  const isTouch = matchMedia("(pointer: coarse)").matches;

  function themed(figure) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = (given) => ({
      ...given, gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"),
    });
    const layout = {
      ...figure.layout,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: {family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("--soft")},
      hoverlabel: {bgcolor: colour("--card"), bordercolor: colour("--line"), font: {color: colour("--ink")}, align: "left"},
      modebar: {bgcolor: "transparent", color: colour("--soft"), activecolor: colour("--accent")},
      xaxis: axis(figure.layout.xaxis),
      yaxis: axis(figure.layout.yaxis),
      dragmode: isTouch ? false : "zoom",
    };
    const shade = [[0, colour("--page")], [1, colour("--shade")]];
    const data = figure.data.map((trace) => (trace.type === "heatmap" ? {...trace, colorscale: shade} : trace));
    return {data, layout};
  }

  function draw() {
    for (const [id, figure] of Object.entries(figures)) {
      const {data, layout} = themed(figure);
      Plotly.react(id, data, layout, config);
    }
  }

  const chips = [...document.querySelectorAll(".chip")];
  const isShown = (chip) => chip.getAttribute("aria-pressed") === "true";

  function show(chip, visible) {
    chip.setAttribute("aria-pressed", String(visible));
    for (const id of ["loss", "score"]) {
      for (const trace of figures[id].data) {
        if (trace.legendgroup === chip.dataset.experiment) trace.visible = visible;
      }
    }
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => { show(chip, !isShown(chip)); draw(); });
  }
  for (const pick of document.querySelectorAll(".pick")) {
    const count = pick.dataset.top === "all" ? Infinity : Number(pick.dataset.top);
    pick.addEventListener("click", () => { chips.forEach((chip, rank) => show(chip, rank < count)); draw(); });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
