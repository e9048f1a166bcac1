// The first screen: switches choose a view; sentences were written from its tests when the page was made.
const screen_ = json("first-screen"), colours = Object.fromEntries(screen_.methods.map(([name, , colour]) => [name, colour]));
const notes = Object.fromEntries(screen_.methods.map(([name, , , note]) => [name, note]));
const roles = Object.fromEntries(screen_.methods.map(([name, role]) => [name, role]));
const TAGS = { baseline: "baseline", bound: "upper bound" };
const LAST = " ";

const choice = () => Object.fromEntries(new FormData($("#switches")));
const viewOf = (chosen, core = chosen.core) => screen_.views[`${chosen.set}|${chosen.domain}|${core}`];

function showSentences(view, chosen) {
  const answer = view.answers[chosen.kind]?.[chosen.metric] ?? { sentences: ["There are no rankings of this kind."], note: "" };
  $("#sentences").replaceChildren(...answer.sentences.map(text => el("span", {}, text + " ")));
  $("#note").textContent = `${view.n} records of ${view.users} users${view.few ? " (few)" : ""}. ${answer.note}`;
  return answer.best;
}

function cell(method, metric, values, best, chosen) {
  const classes = ["metric", metric === chosen ? "chosen" : "", best ? "best" : ""].join(" ");
  if (!values) return el("td", { className: classes }, "–");
  const [mean, low, high] = values;
  const bar = el("span", { className: "bar", style: { width: `${100 * mean}%`, background: colours[method] } });
  const interval = el("small", {}, `${number(low)}–${number(high)}`);
  const text = `${number(mean)} (${number(low)}-${number(high)})`;
  return el("td", { className: classes, "data-csv": text }, el("span", {}, number(mean)), interval, bar);
}

function showTable(view, chosen) {
  const means = view.means[chosen.kind] ?? {}, learned = Object.keys(means).filter(name => roles[name] === "learned");
  const best = Object.fromEntries(screen_.metrics.map(([metric]) =>
    [metric, Math.max(...learned.map(name => means[name][metric]?.[0] ?? 0))]));
  const order = Object.keys(means).sort((a, b) => means[b][chosen.metric][0] - means[a][chosen.metric][0]);
  const rows = order.map(name => el("tr", {},
    el("th", { scope: "row" }, el("span", { className: "dot", style: { background: colours[name] } }), name,
      TAGS[roles[name]] ? el("span", { className: "tag" }, TAGS[roles[name]]) : null,
      chosen.kind === "written" && screen_.items[name] ? el("span", { className: "tag" }, `${screen_.items[name]} item${screen_.items[name] > 1 ? "s" : ""}`) : null,
      el("small", {}, notes[name])),
    screen_.metrics.map(([metric]) => cell(name, metric, means[name][metric],
      roles[name] === "learned" && means[name][metric]?.[0] === best[metric], chosen.metric))));
  $("#headline tbody").replaceChildren(...rows);
  for (const head of $$("#headline thead .metric")) head.classList.toggle("chosen", head.dataset.metric === chosen.metric);
}

function showChart(chosen) {
  const rows = screen_.cores.filter(core => core !== "all").flatMap(core => {
    const view = viewOf(chosen, core), means = view?.means[chosen.kind] ?? {};
    return Object.entries(means).map(([method, by]) => {
      const [mean, low, high] = by[chosen.metric];
      return { method, core, mean, low, high, n: view.n };
    });
  });
  const ends = screen_.ends[`${chosen.set}|${chosen.domain}|${chosen.metric}|${chosen.kind}`];
  const names = Object.entries(ends?.names ?? {}).map(([method, place]) => ({ method, place, core: LAST }));
  const figure = $("#by-history"), spec = specOf(figure), title = screen_.metrics.find(([name]) => name === chosen.metric)[1];
  const titled = JSON.parse(JSON.stringify(spec).replaceAll('"METRIC"', JSON.stringify(title)));
  return draw(figure, titled, { rows, names }, ends?.top ?? 1);
}

function showView() {
  const chosen = choice(), view = viewOf(chosen);
  if (!view) return;
  showSentences(view, chosen);
  showTable(view, chosen);
  return showChart(chosen);
}

$("#switches")?.addEventListener("change", showView);
