// The first screen: switches choose a view; sentences were written from its tests when the page was made.
function showSentences(view, chosen) {
  const answer = view.answers[chosen.kind]?.[chosen.metric] ?? { sentences: ["There are no rankings of this kind."], note: "" };
  say(answer.sentences);
  $("#note").textContent = `${view.n} records of ${view.users} users${view.few ? " (few)" : ""}. ${answer.note}`;
  return answer.best;
}

function cell(method, metric, values, best, chosen) {
  const classes = ["metric", metric === chosen ? "chosen" : "", best ? "best" : ""].join(" ");
  if (!values) return el("td", { className: classes }, "–");
  const [mean, low, high] = values;
  const interval = el("small", {}, `${number(low)}–${number(high)}`);
  const text = `${number(mean)} (${number(low)}-${number(high)})`;
  return el("td", { className: classes, "data-csv": text }, el("span", {}, number(mean)), interval, barOf(method, mean));
}

function showTable(view, chosen) {
  const means = view.means[chosen.kind] ?? {}, learned = Object.keys(means).filter(name => roles[name] === "learned");
  const best = Object.fromEntries(screen_.metrics.map(([metric]) =>
    [metric, Math.max(...learned.map(name => means[name][metric]?.[0] ?? 0))]));
  const order = Object.keys(means).sort((a, b) => means[b][chosen.metric][0] - means[a][chosen.metric][0]);
  const rows = order.map(name => el("tr", {},
    methodHead(name, chosen.kind === "written" && screen_.items[name] && `${screen_.items[name]} item${screen_.items[name] > 1 ? "s" : ""}`),
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
  return drawHistory(chosen, rows);
}

function showView() {
  const chosen = choice(), view = viewOf(chosen);
  if (!view) return;
  showSentences(view, chosen);
  showTable(view, chosen);
  return showChart(chosen);
}
