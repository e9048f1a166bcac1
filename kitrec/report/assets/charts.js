// Charts are drawn by Vega in the colours of the page, and again when the page changes between light and dark.
const styles = json("chart-styles"), darkness = matchMedia("(prefers-color-scheme: dark)");
const ERRORS = 1;   // Vega's level of logging
const drawn = new Map();   // figure -> { spec, datasets, view }

const withData = (spec, datasets, top) => ({
  ...spec,
  ...(datasets ? { datasets } : {}),
  ...(top === undefined ? {} : { params: [{ name: "top", value: top }] }),
});

async function draw(figure, spec, datasets, top) {
  const chart = $(".chart", figure), full = withData(spec, datasets, top);
  const options = {
    mode: "vega-lite", actions: false, renderer: "svg", config: styles[darkness.matches ? "dark" : "light"],
    logLevel: ERRORS, tooltip: { theme: darkness.matches ? "dark" : "light" },
  };
  drawn.get(figure)?.view?.finalize();
  const autosize = { type: "fit-x", contains: "padding" };
  const result = await vegaEmbed(chart, { ...full, width: "container", autosize }, options);
  drawn.set(figure, { spec, datasets, top, view: result.view });
}

const specOf = figure => JSON.parse($("script", figure).textContent);

async function drawAll() {
  for (const figure of $$("figure[data-name]")) {
    if ($("script", figure) && !drawn.has(figure)) await draw(figure, specOf(figure));
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
darkness.addEventListener("change", async () => {
  for (const [figure, { spec, datasets, top }] of [...drawn]) await draw(figure, spec, datasets, top);
});
