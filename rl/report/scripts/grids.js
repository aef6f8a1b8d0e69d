// Grids of problems x evaluations and of prompts x visits: sorted, filtered, each cell a link.

const SHORT_GRID = 100;

async function startGrids() {
  const parent = byId("grid-list");
  if (!parent) return;
  const grids = JSON.parse(await inflate("grids"));
  for (const grid of grids) {
    const isOpen = grid.row_name === "problem" || grids.length === 1;
    parent.append(element("details", { open: isOpen }, element("summary", {}, grid.title), gridView(grid)));
  }
}

function gridView(grid) {
  const state = { sort: "row", descending: false, word: "", all: false };
  const hasChange = grid.words.length > 0;
  const columns = [
    ["row", grid.row_name, ""],
    ...grid.columns.map((name, i) => [String(i), name, "number"]),
    ...(hasChange ? [["change", "change", "number"]] : []),
  ];
  const body = element("tbody");
  const more = element("button", { type: "button" });
  const heads = columns.map(([key, name, className]) => {
    const button = element("button", { type: "button", title: `Sort by ${key === "row" ? "the order of the file" : name}` }, name);
    button.addEventListener("click", () => {
      // Shares begin with the lowest: that is where something went wrong.
      if (state.sort === key) state.descending = !state.descending;
      else Object.assign(state, { sort: key, descending: false });
      draw();
    });
    return element("th", { scope: "col", className }, button);
  });
  const word = element("select", { "aria-label": `Which ${grid.row_name}s` });
  const counted = grid.words.map((name) => [name, `${name} (${grid.rows.filter((row) => row.word === name).length})`]);
  options(word, [["", `all (${grid.rows.length})`], ...counted], "");
  word.addEventListener("change", () => { state.word = word.value; draw(); });
  more.addEventListener("click", () => { state.all = true; draw(); });

  function draw() {
    const rows = sortedRows(grid, state);
    const shown = state.all ? rows : rows.slice(0, SHORT_GRID);
    body.replaceChildren(...shown.map((row) => gridRow(grid, row, hasChange)));
    heads.forEach((head, i) => head.setAttribute("aria-sort", columns[i][0] !== state.sort ? "none" : state.descending ? "descending" : "ascending"));
    more.hidden = shown.length === rows.length;
    more.textContent = `Show all ${rows.length} ${grid.row_name}s`;
  }
  draw();
  const controls = element("form", { className: "controls" }, element("label", {}, `Which ${grid.row_name}s`, word));
  controls.addEventListener("submit", (event) => event.preventDefault());
  const table = element("table", { className: "grid" }, element("thead", {}, element("tr", {}, ...heads)), body);
  return element("div", { className: "grid-part" }, element("p", { className: "quiet" }, grid.note),
    hasChange ? controls : null,
    element("div", { className: "scroll tall", tabIndex: 0, role: "region", "aria-label": grid.title }, table), more);
}

const changeOf = (row) => row.cells[0] && row.cells[1] ? row.cells[1].share - row.cells[0].share : null;

function sortedRows(grid, { sort, descending, word }) {
  const rows = grid.rows.filter((row) => word === "" || row.word === word);
  const sign = descending ? -1 : 1;
  if (sort === "row") return descending ? rows.reverse() : rows;
  const value = (row) => sort === "change" ? changeOf(row) : row.cells[Number(sort)]?.share ?? null;
  // Rows without a value come last in either order.
  return rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
  });
}

function gridRow(grid, row, hasChange) {
  const cells = row.cells.map((cell, i) => {
    if (cell === null) return element("td", { className: "number none" }, "–");
    const href = fragment({ ...cell.place, prompt: row.id });
    const name = `${cell.share.toFixed(2)}, ${grid.columns[i]}: ${cell.about}`;
    return element("td", { className: "number cell", share: cell.share }, element("a", { href, title: cell.about, "aria-label": name }, cell.share.toFixed(2)));
  });
  const change = changeOf(row);
  const sign = change > 0 ? "+" : change < 0 ? "-" : "";
  return element("tr", {}, element("th", { scope: "row" }, element("span", { className: "title" }, ...withMaths(oneLine(row.title)))), ...cells, hasChange
    ? element("td", { className: `number word ${row.word}` }, change === null ? "–" : `${sign}${Math.abs(change).toFixed(2)}`, " ", element("span", {}, row.word))
    : null);
}
