// Charts are drawn by Vega; their ink is that of the style sheet, on light, on dark and in print.
const styles = json("chart-styles");
const ERRORS = 1;   // Vega's level of logging
const drawn = new Map();   // figure -> { spec, datasets, view }

const withData = (spec, datasets, top) => ({
  ...spec,
  ...(datasets ? { datasets } : {}),
  ...(top === undefined ? {} : { params: [{ name: "top", value: top }] }),
});

const WIDE = 640;   // pixels below which a chart of two panels' width is scrolled, not squeezed

function styleOf(figure) {
  const style = styles.page, narrow = figure.clientWidth < 500;
  return { ...style, legend: { ...style.legend, columns: narrow ? 2 : style.legend.columns } };
}

async function draw(figure, spec, datasets, top) {
  const chart = $(".chart", figure), full = withData(spec, datasets, top);
  const options = {
    mode: "vega-lite", actions: false, renderer: "svg", config: styleOf(figure),
    logLevel: ERRORS, tooltip: { disableDefaultStyle: true },
  };
  drawn.get(figure)?.view?.finalize();
  const autosize = { type: "fit-x", contains: "padding" };
  const scrolled = spec.width > WIDE && chart.clientWidth < WIDE;
  const result = await vegaEmbed(chart, { ...full, width: scrolled ? WIDE : "container", autosize }, options);
  drawn.set(figure, { spec, datasets, top, view: result.view });
}

const specOf = figure => JSON.parse($("script", figure).textContent);

async function drawAll() {
  for (const figure of $$("figure[data-name]")) {
    if ($("script", figure) && !figure.hidden && !drawn.has(figure)) await draw(figure, specOf(figure));
  }
}

async function saveFigure(figure, type) {
  const { spec, datasets, top } = drawn.get(figure);
  const options = { mode: "vega-lite", actions: false, config: styles.file, logLevel: ERRORS };
  const { view } = await vegaEmbed(document.createElement("div"), withData(spec, datasets, top), options);
  save(`${figure.dataset.name}.${type}`, await view.toImageURL(type, type === "png" ? 3 : 1));
}

document.addEventListener("click", event => {
  const button = event.target.closest("button[data-save]");
  if (button) saveFigure(button.closest("figure"), button.dataset.save);
});
