// Tables: sorted by their headers, saved as CSV.
function csv(table) {
  const quote = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const cell = node => quote((node.dataset.csv ?? node.textContent).replace(/\s+/g, " ").trim());
  return $$("tr", table).map(row => [...row.cells].map(cell).join(",")).join("\n") + "\n";
}

function sortBy(button) {
  const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
  const column = [...head.parentNode.children].indexOf(head), down = head.getAttribute("aria-sort") === "descending";
  for (const other of head.parentNode.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "ascending" : "descending");
  const value = row => {
    const text = row.cells[column].textContent, first = parseFloat(text.replace(/,/g, "").replace(/^[^0-9.+-]+/, ""));
    return /^[+\-–.\d]/.test(text.trim()) && !isNaN(first) ? first : text;
  };
  const compare = (a, b) => typeof a === typeof b ? (a > b) - (a < b) : typeof a === "number" ? 1 : -1;
  const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)));
  body.append(...(down ? rows : rows.reverse()));
}

document.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches("th button")) sortBy(button);
  if (button.dataset.csvOf) {
    const table = document.getElementById(button.dataset.csvOf);
    save(`${table.dataset.name}.csv`, URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" })));
  }
});
