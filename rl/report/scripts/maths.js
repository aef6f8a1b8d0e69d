// Formulas in the texts of models: as MathML that was made with the page, and as they were written.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const formulaPattern = new RegExp(data.formula, "g");
let formulas = new Map();

async function startMaths() {
  if (!byId("maths")) return;
  formulas = new Map(Object.entries(JSON.parse(await inflate("maths"))));
  const choose = () => document.documentElement.classList.toggle("as-written", byId("formulas")?.value === "source");
  byId("formulas")?.addEventListener("change", choose);
  choose(); // a browser may have kept the choice
}

// A tree is a tag, its attributes if it has any, then texts and trees.
function mathElement([tag, ...parts]) {
  const node = document.createElementNS(MATHML, tag);
  for (const part of parts) {
    if (typeof part === "string" || Array.isArray(part)) node.append(typeof part === "string" ? part : mathElement(part));
    else for (const [name, value] of Object.entries(part)) node.setAttribute(name, value);
  }
  return node;
}

// Both spellings are in the page; its style shows one of them.
function formulaView(tree, source, wanted) {
  const isWanted = wanted && source.toLowerCase().includes(wanted.toLowerCase());
  const math = mathElement(tree);
  return element("span", { className: "formula" },
    element("span", { className: "rendered", title: source }, isWanted ? element("mark", {}, math) : math),
    element("span", { className: "written" }, ...marked(source, wanted)));
}

// A text with its formulas, and with each place of what is wanted marked.
function withMaths(text, wanted = "") {
  const parts = [];
  let start = 0;
  for (const found of formulas.size ? text.matchAll(formulaPattern) : []) {
    const tree = formulas.get(found[0]);
    if (!tree) continue;
    parts.push(...marked(text.slice(start, found.index), wanted), formulaView(tree, found[0], wanted));
    start = found.index + found[0].length;
  }
  return [...parts, ...marked(text.slice(start), wanted)];
}

// An answer is a formula as a whole.
function answerView(answer, wanted = "") {
  const tree = formulas.get(`$${answer}$`);
  return tree ? [formulaView(tree, answer, wanted)] : marked(oneLine(answer, 200), wanted);
}

// A block of text: in the page's own letters where formulas stand in it.
function textBlock(className, text, wanted = "", properties = {}) {
  const parts = withMaths(text, wanted);
  const hasMaths = parts.some((part) => part.className === "formula");
  return element("pre", { className: hasMaths ? `${className} has-maths` : className, ...properties }, ...parts);
}
