// Panels of `dvc plots show`: DVC calls vegaEmbed once per plot. Plots whose templates name the same `usermeta.panel`
// share a chart, a plot without data has none, and methods are drawn as the report draws them.
const embed = window.vegaEmbed;
const styles = json("chart-styles"), known = json("methods");
const CHANNELS = ["color", "shape", "strokeDash"], ERRORS = 1, NARROW = 720;   // pixels
const panels = new Map();   // name -> specification with the data of all its plots

window.vegaEmbed = (place, { $schema, ...spec }) => {   // the schema of another version is a warning, not an error
  const values = spec.data?.values;
  if (Array.isArray(values) && !values.length || !("data" in spec || "datasets" in spec)) return;
  const name = spec.usermeta?.panel ?? place, panel = panels.get(name);
  if (panel) panel.data.values.push(...values);
  else panels.set(name, spec);
};

const stem = path => path.replace(/^.*\//, "").replace(/\.[a-z]+$/, "");
const distinct = values => [...new Set(values)];

// The methods of a panel in the order of the run, those that the run does not list last.
function drawnMethods(rows) {
  const names = distinct(rows.map(row => row.method ?? stem(row.filename ?? "")));
  const listed = Object.keys(known.methods).filter(name => names.includes(name));
  const others = names.filter(name => !listed.includes(name));
  const looks = others.map((name, k) => [name, known.spare[k % known.spare.length]]);
  return { ...Object.fromEntries(listed.map(name => [name, known.methods[name]])), ...Object.fromEntries(looks) };
}

// One revision needs no legend of revisions.
function encoded(node, methods, revisions, key = "") {
  if (Array.isArray(node)) return node.map(each => encoded(each, methods, revisions));
  if (node === null || typeof node !== "object") return node;
  const names = Object.keys(methods);
  if (node.field === "method" && CHANNELS.includes(key))
    return { ...node, scale: { domain: names, range: names.map(name => methods[name][key]) } };
  if (node.field === "method" && key === "xOffset") return { ...node, sort: names };
  if (node.field === "rev" && revisions < 2 && CHANNELS.includes(key)) return { ...node, legend: null };
  const entries = Object.entries(node);
  return Object.fromEntries(entries.map(([name, each]) => [name, encoded(each, methods, revisions, name)]));
}

function prepared({ title, data, ...spec }) {
  const rows = data.values;
  return { ...encoded(spec, drawnMethods(rows), distinct(rows.map(row => row.rev)).length), data };
}

const legends = width => ({
  columns: Math.max(2, Math.floor(width / 180)),
  layout: { bottom: { anchor: "start", direction: width < NARROW ? "vertical" : "horizontal" } },
});

const options = (style, width) => ({
  mode: "vega-lite", actions: false, renderer: "svg", logLevel: ERRORS, tooltip: { disableDefaultStyle: true },
  config: { ...style, legend: { ...style.legend, ...legends(width) } },
});

// Vega-Lite gives facets the width that it is told: a first drawing shows how many there are, and what stands beside.
async function draw(chart, spec) {
  const room = chart.clientWidth, most = room < NARROW ? 1 : spec.columns, guess = Math.floor(room / most);
  const sized = (columns, width) => ({ ...spec, columns, spec: { ...spec.spec, width } });
  await embed(chart, sized(most, guess), options(styles.page, room));
  const columns = Math.min(most, $$(".cell > g", chart).length);
  const beside = $("svg", chart).getBoundingClientRect().width - columns * guess;
  const fitted = sized(columns, Math.floor((room - beside) / columns));
  await embed(chart, fitted, options(styles.page, room));
  return fitted;
}

async function saveChart(name, type, spec) {
  const { view } = await embed(el("div"), spec, options(styles.file, NARROW));
  save(`${name}.${type}`, await view.toImageURL(type, type === "png" ? 3 : 1));
}

function show(name, spec) {
  const text = [spec.title?.subtitle ?? []].flat().join(" "), heading = spec.title?.text ?? spec.title ?? "";
  const chart = el("div", { className: "chart", role: "group", tabindex: "0", "aria-label": `chart: ${heading}` });
  const ready = spec.usermeta?.panel ? prepared(spec) : spec;
  let drawn = ready, width;
  const button = type => el("button", {
    type: "button", "aria-label": `${heading} as ${type.toUpperCase()}`, onclick: () => saveChart(name, type, drawn),
  }, type.toUpperCase());
  const parts = spec.usermeta?.panel ? [el("h2", {}, heading), el("p", { className: "soft" }, text)] : [];
  const caption = el("figcaption", {}, el("span"), el("span", { className: "tools" }, button("svg"), button("png")));
  $("main").append(el("section", { id: name }, ...parts, el("figure", {}, chart, caption)));
  const redraw = async () => {
    if (width === chart.clientWidth) return;
    width = chart.clientWidth;
    if (ready.facet) drawn = await draw(chart, ready);
    else await embed(chart, ready, options(styles.page, width));
  };
  redraw();
  new ResizeObserver(redraw).observe(chart);
}

addEventListener("DOMContentLoaded", () => {
  const revisions = distinct([...panels.values()].flatMap(spec => spec.data?.values?.map(row => row.rev) ?? []));
  $("#revisions").append(revisions.filter(Boolean).join(" and "));
  for (const [name, spec] of panels) show(name, spec);
});
