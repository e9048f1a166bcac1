// The switches of the first screen, and what the screens of one run and of two have in common.
const screen_ = json("first-screen"), colours = Object.fromEntries(screen_.methods.map(([name, , colour]) => [name, colour]));
const notes = Object.fromEntries(screen_.methods.map(([name, , , note]) => [name, note]));
const roles = Object.fromEntries(screen_.methods.map(([name, role]) => [name, role]));
const TAGS = { baseline: "baseline", bound: "upper bound" };
const LAST = " ";

const choice = () => Object.fromEntries(new FormData($("#switches")));
const viewOf = (chosen, core = chosen.core) => screen_.views[`${chosen.set}|${chosen.domain}|${core}`];

const methodHead = (name, ...tags) => el("th", { scope: "row" },
  el("span", { className: "dot", style: { background: colours[name] } }), name,
  [TAGS[roles[name]], ...tags].filter(Boolean).map(tag => el("span", { className: "tag" }, tag)),
  el("small", {}, notes[name]));

const barOf = (method, value) =>
  el("span", { className: "bar", style: { width: `${100 * value}%`, background: colours[method] } });

const say = sentences => $("#sentences").replaceChildren(...sentences.map(text => el("span", {}, text + " ")));

function drawHistory(chosen, rows) {
  const ends = screen_.ends[`${chosen.set}|${chosen.domain}|${chosen.metric}|${chosen.kind}`];
  const names = Object.entries(ends?.names ?? {}).map(([method, place]) => ({ method, place, core: LAST }));
  const figure = $("#by-history"), spec = specOf(figure), title = screen_.metrics.find(([name]) => name === chosen.metric)[1];
  const titled = JSON.parse(JSON.stringify(spec).replaceAll("METRIC", JSON.stringify(title).slice(1, -1)));
  return draw(figure, titled, { rows, names }, ends?.top ?? 1);
}

$("#switches")?.addEventListener("change", () => showView());
