// What every part of the page uses. All a model or a run wrote reaches the page through text nodes only.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "style") node.style.setProperty("--run", value);
    else if (name === "share") node.style.setProperty("--share", value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function fail(error) {
  const notice = byId("failure");
  notice.textContent = `A part of this report could not be shown: ${error.message}. ` +
    "It needs a browser of 2023 or newer.";
  notice.hidden = false;
}

async function inflate(id) {
  const packed = Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

const supervisedMark = (run) =>
  run.supervised ? element("span", { className: "supervised" }, "supervised") : null;

const oneLine = (text, length = 90) => {
  // A long text is cut before its white space is looked at.
  const line = text.slice(0, 4 * length).replace(/\s+/g, " ").trim();
  return line.length > length || text.length > 4 * length ? `${line.slice(0, length)}…` : line;
};

// The address of a group or rollout: the run by its name, the step by its number.
function fragment({ run, step, prompt, visit, role, rollout }) {
  const parts = { run };
  if (step !== null && step !== undefined) parts.step = step;
  parts.prompt = prompt;
  if (visit) parts.visit = visit;
  if (role) parts.role = role;
  if (rollout !== null && rollout !== undefined) parts.rollout = rollout;
  return `#${new URLSearchParams(parts)}`;
}

// A text with each place of what is wanted marked, whatever the case of its letters.
function marked(text, wanted) {
  const small = wanted.toLowerCase(), lower = text.toLowerCase();
  // A few letters change their length in lower case; then positions in the two texts differ.
  if (!small || lower.length !== text.length) return [text];
  const parts = [];
  let start = 0;
  for (let at = lower.indexOf(small); at >= 0; at = lower.indexOf(small, start)) {
    parts.push(text.slice(start, at), element("mark", {}, text.slice(at, at + small.length)));
    start = at + small.length;
  }
  return [...parts, text.slice(start)];
}
