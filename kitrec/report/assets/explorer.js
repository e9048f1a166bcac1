// The user explorer: filters, a list of users, and what every method did with the chosen one.
let people = null, shown = [];

const item = index => people.items[index] ?? ["?", "?", "", null];
const title = index => typeof index === "string" ? index : item(index)[1] ?? item(index)[0];
const right = (record, method) => record.firsts[method] !== undefined && record.firsts[method] === record.truth;
const domainLabel = name => people.labels[name] ?? name;

function outcome(record, method) {
  const answer = record.answers[method.replace(" (written)", "")];
  if (method.endsWith("(written)") && answer && answer.status !== "ok") return "unparsed";
  return right(record, method) ? "right" : "wrong";
}

function prepare(data) {
  for (const records of Object.values(data.sets)) {
    for (const record of records) {
      record.firsts = Object.fromEntries(Object.entries(record.ranked).map(([method, items]) => [method, items[0]]));
      const titles = [...record.source, ...record.target, ...record.candidates].map(([index]) => data.items[index][1] ?? "");
      record.text = [record.user, ...titles].join(" ").toLowerCase();
    }
  }
  return data;
}

function matches(record, chosen) {
  const learned = people.learned.filter(method => method in record.ranked);
  const hits = learned.filter(method => right(record, method)).length;
  return (!chosen.domain || record.domain === chosen.domain)
    && (!chosen.type || record.type === chosen.type)
    && (!chosen.outcome || outcome(record, chosen.method) === chosen.outcome)
    && (!chosen.disagree || (hits > 0 && hits < learned.length))
    && chosen.search.toLowerCase().split(/\s+/).every(word => record.text.includes(word));
}

const SIGNS = { right: "✓", wrong: "✗", unparsed: "?" };

function listUsers() {
  const chosen = Object.fromEntries(new FormData($("#filters"))), list = $("#users"), before = list.value;
  shown = people.sets[chosen.set].filter(record => matches(record, chosen));
  list.replaceChildren(...shown.map(record => el("option", { value: record.id },
    `${SIGNS[outcome(record, chosen.method)]} ${record.user} · ${domainLabel(record.domain)} · ${record.core}`)));
  $("#count").textContent = `${shown.length} of ${people.sets[chosen.set].length} users`;
  if (shown.some(record => record.id === before)) list.value = before;
  else list.selectedIndex = shown.length ? 0 : -1;
  showUser();
}

function showUser() {
  const record = shown[$("#users").selectedIndex];
  $("#record").replaceChildren(...(record ? parts(record) : [el("p", {}, "No user fits these filters.")]));
}

function step(by) {
  const list = $("#users");
  list.selectedIndex = Math.min(Math.max(list.selectedIndex + by, 0), shown.length - 1);
  showUser();
}

function parts(record) {
  const [id, name, categories] = item(record.truth);
  return [
    el("h3", {}, `${record.user}: ${domainLabel(record.domain)}, ${record.core} target interactions, ${record.type}`),
    el("p", {}, "Held-out item: ", el("strong", {}, name ?? id), ` (${categories || "no categories"}; ${id})`,
      record.rating === null ? "" : `, which the user rated ${record.rating}.`),
    el("h3", {}, "First to tenth of every method"), ranks(record),
    ...Object.entries(record.answers).map(([method, answer]) => answerOf(record, method, answer)),
    el("h3", {}, "History, oldest first"), histories(record),
    el("h3", {}, `Candidates in the order shown (${record.candidates.length})`), candidates(record),
  ];
}

function ranks(record) {
  const methods = people.methods.filter(method => method in record.ranked);
  const entry = (method, place) => {
    const index = record.ranked[method][place];
    if (index === undefined) return el("td", {}, "");
    const classes = index === record.truth ? "truth" : typeof index === "string" ? "invalid" : "";
    return el("td", { className: classes, title: typeof index === "string" ? "no candidate" : item(index)[2] }, title(index));
  };
  const depth = Math.max(...methods.map(method => record.ranked[method].length));
  const head = el("tr", {}, el("th", { scope: "col" }, "#"), methods.map(method => el("th", { scope: "col" },
    el("span", { className: "name" }, el("span", { className: "dot",
      style: { background: people.colours[method.replace(" (written)", "")] } }), method.replace(" (written)", "")),
    method.endsWith(" (written)") ? " (written)" : "")));
  const rows = Array.from({ length: depth }, (_, place) =>
    el("tr", {}, el("td", {}, String(place + 1)), methods.map(method => entry(method, place))));
  const places = el("tr", {}, el("td", {}, "truth"), methods.map(method => el("td", {}, record.places[method] ?? "not named")));
  const table = el("table", { className: "ranks" }, el("thead", {}, head), el("tbody", {}, rows, places));
  return el("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "rankings" }, table);
}

function histories(record) {
  const list = (name, entries) => el("div", {}, el("h3", {}, `${name} (${entries.length})`),
    entries.length ? el("ol", { tabIndex: 0, "aria-label": `${name}: history` }, entries.map(([index, rating]) =>
      el("li", {}, `${title(index)} `, el("span", { className: "soft" }, `${item(index)[2]} · rated ${rating}`))))
      : el("p", { className: "soft" }, "none"));
  return el("div", { className: "histories" }, list(people.labels.source, record.source), list(domainLabel(record.domain), record.target));
}

function candidates(record) {
  const head = el("tr", {}, ["#", "title", "categories", "drawn as", "id"].map(name => el("th", { scope: "col" }, name)));
  const rows = record.candidates.map(([index, origin], place) => el("tr", { className: index === record.truth ? "truth" : "" },
    [place + 1, title(index), item(index)[2], people.origins[origin], item(index)[0]].map(value => el("td", {}, String(value)))));
  const table = el("table", { className: "candidates" }, el("thead", {}, head), el("tbody", {}, rows));
  return el("details", {}, el("summary", {}, "show"), el("div", { className: "wide", tabIndex: 0, role: "region",
    "aria-label": "candidates" }, table));
}

function marked(text, spans) {
  const pieces = [];
  let end = 0;
  for (const [from, to] of spans) {
    pieces.push(text.slice(end, from), el("mark", {}, text.slice(from, to)));
    end = to;
  }
  return [...pieces, text.slice(end)];
}

function answerOf(record, method, answer) {
  const command = `kitrec trace ${method} hit@1 --kind written --set ${record.set} --user ${record.user}`;
  const copy = el("button", { type: "button", onclick: () => navigator.clipboard?.writeText(command) }, "copy");
  const confidence = answer.confidence === null ? "no confidence stated" : `confidence ${answer.confidence}`;
  const reasoning = answer.reasoning.map(([name, text, spans]) => el("div", {}, el("strong", {}, name),
    el("p", { className: "thought" }, ...marked(text, spans))));
  return el("section", { className: "answer", "aria-label": `answer of ${method}`,
    style: { borderColor: people.colours[method] } },
    el("h3", {}, `Answer of ${method}`), el("p", { className: "small soft" },
      `parse status: ${answer.status}; ${confidence}; history items named: ${answer.mentions.join(", ") || "none"}; `
      + `${answer.prompt_tokens} tokens of prompt, ${answer.answer_tokens} of answer`),
    ...reasoning,
    el("details", {}, el("summary", {}, "raw answer"), el("pre", {}, answer.text ?? "(none)")),
    el("p", { className: "small" }, el("code", {}, command), " ", copy));
}

async function openExplorer() {
  if (people) return;
  people = prepare(await unpacked("people"));
  $("#filters").addEventListener("input", listUsers);
  $("#filters").addEventListener("submit", event => event.preventDefault());
  $("#users").addEventListener("change", showUser);
  $("#previous").addEventListener("click", () => step(-1));
  $("#next").addEventListener("click", () => step(1));
  listUsers();
}

if ($("#people")) {
  const nearby = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    nearby.disconnect();
    openExplorer();
  }, { rootMargin: "600px" });
  nearby.observe($("#explorer"));
}

// From an example of a failure to its user.
document.addEventListener("click", async event => {
  const link = event.target.closest("a[data-record]");
  if (!link) return;
  await openExplorer();
  $("#filters").reset();
  listUsers();
  $("#users").value = link.dataset.record;
  showUser();
});
