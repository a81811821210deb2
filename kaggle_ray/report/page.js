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

  function themed(layout) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = (given) => ({
      ...given, gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"),
    });
    return {
      ...layout,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: {family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("--soft")},
      hoverlabel: {bgcolor: colour("--card"), bordercolor: colour("--line"), font: {color: colour("--ink")}, align: "left"},
      modebar: {bgcolor: "transparent", color: colour("--soft"), activecolor: colour("--accent")},
      xaxis: axis(layout.xaxis),
      yaxis: axis(layout.yaxis),
      dragmode: isTouch ? false : "zoom",
    };
  }

  function drawOne(id) {
    const shown = figures[id].data.filter((trace) => trace.visible ?? true);  // hidden ones would take their time
    Plotly.react(id, shown, themed(figures[id].layout), config);
  }

  function draw(ids = Object.keys(figures)) {
    for (const id of ids) setTimeout(drawOne, 0, id);  // one at a time: between them the page can be read and scrolled
  }

  const curves = Object.keys(figures).filter((id) => figures[id].data.some((trace) => trace.legendgroup !== undefined));
  const chips = [...document.querySelectorAll(".chip")];
  const isShown = (chip) => chip.getAttribute("aria-pressed") === "true";

  function show(chip, visible) {
    chip.setAttribute("aria-pressed", String(visible));
    for (const id of curves) {
      for (const trace of figures[id].data) {
        if (trace.legendgroup === chip.dataset.experiment) trace.visible = visible;
      }
    }
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => { show(chip, !isShown(chip)); draw(curves); });
  }
  for (const pick of document.querySelectorAll(".pick")) {
    const count = pick.dataset.top === "all" ? Infinity : Number(pick.dataset.top);
    pick.addEventListener("click", () => { chips.forEach((chip, rank) => show(chip, rank < count)); draw(curves); });
  }
  for (const folded of document.querySelectorAll("details")) {
    folded.addEventListener("toggle", () => {
      const template = folded.querySelector("template");
      if (template) template.replaceWith(template.content);  // built when it is opened first
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  draw();
})();
