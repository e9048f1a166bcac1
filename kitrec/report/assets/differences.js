// The first screen of two runs: both values of every ranking, the difference, and what its test supports.
const signed = value => (value < 0 ? "" : "+") + number(value);
const pValue = p => p < .001 ? "< .001" : number(p).replace(/^0/, "");

function valueCell(method, value) {
  return el("td", { "data-csv": number(value) }, el("span", {}, number(value)), barOf(method, value));
}

function differenceCells([, , difference, low, high, p, verdict]) {
  const clear = verdict === "ahead" || verdict === "behind", className = clear ? "best" : "";
  const varies = difference !== null && verdict !== "same scores";
  const shown = varies ? signed(difference) : difference === null ? "–" : "0";
  const interval = varies ? `${signed(low)} … ${signed(high)}` : "";
  return [
    el("td", { className, "data-csv": varies ? `${shown} [${interval}]` : shown }, shown, el("small", {}, interval)),
    el("td", { className, "data-csv": p === null ? verdict : `${pValue(p)} ${verdict}` }, p === null ? "–" : pValue(p),
      el("small", {}, verdict)),
  ];
}

function showTable(view, chosen) {
  const of = view.rows[chosen.kind] ?? {}, value = name => of[name][chosen.metric];
  const order = Object.keys(of).sort((a, b) => value(b)[1] - value(a)[1]);
  const rows = order.map(name => el("tr", {}, methodHead(name),
    valueCell(name, value(name)[0]), valueCell(name, value(name)[1]), differenceCells(value(name))));
  $("#headline tbody").replaceChildren(...rows);
}

function showChart(chosen) {
  const ends = screen_.ends[`${chosen.set}|${chosen.domain}|${chosen.metric}|${chosen.kind}`];
  const figure = $("#by-history");
  figure.hidden = !ends;
  $("#nothing").hidden = Boolean(ends);
  if (!ends) return Promise.resolve();
  const rows = screen_.cores.filter(core => core !== "all").flatMap(core =>
    Object.entries(viewOf(chosen, core)?.rows[chosen.kind] ?? {})
      .filter(([method]) => method in ends.names)
      .map(([method, by]) => [method, by[chosen.metric]])
      .map(([method, [, , mean, low, high]]) => ({ method, core, mean, low, high })));
  return drawHistory(chosen, rows);
}

function showView() {
  const chosen = choice(), view = viewOf(chosen);
  if (!view) return Promise.resolve();
  say(view.answers[chosen.kind]?.[chosen.metric]?.sentences ?? ["The two runs have no ranking of this kind in common."]);
  $("#note").textContent = view.note;
  showTable(view, chosen);
  return showChart(chosen);
}
