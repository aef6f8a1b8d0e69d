// The browser of rollouts: one group at a time, its answer classes, filters, and links.

const SIGNS = {
  "": ["any", () => true],
  "reward+": ["above 0", (r) => r.reward > 0],
  "reward0": ["0", (r) => r.reward === 0],
  "reward-": ["below 0", (r) => isNumber(r.reward) && r.reward < 0],
  "none": ["none", (r) => !isNumber(r.reward)],
  "advantage+": ["advantage above 0", (r) => r.advantage > 0],
  "advantage0": ["advantage 0", (r) => r.advantage === 0],
  "advantage-": ["advantage below 0", (r) => isNumber(r.advantage) && r.advantage < 0],
};
const VERDICTS = { "": ["any", () => true], right: ["right", (r) => r.correct === true], wrong: ["wrong", (r) => r.correct !== true] };
const SHOWN_KEYS = new Set(["rollout", "completion", "answer", "cluster", "num_tokens", "truncated", "trained", "rewards", "reward", "advantage", "correct", "selected", "pseudo_label"]);
const NO_ANSWER = "none";
const steps = new Map();
let place = { run: 0, step: 0, group: 0, rollout: null };
let groups = [];
let lastShow = 0;

const isNumber = (value) => typeof value === "number";
const number = (value) => !isNumber(value) ? "none" : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
const scalesOf = (run) => run.kind === "run" ? SIGNS : VERDICTS;
const classOf = (rollout) => isNumber(rollout.cluster) ? String(rollout.cluster) : NO_ANSWER;

async function loadStep(run, step) {
  const blob = data.runs[run].steps[step].blob;
  if (!steps.has(blob)) steps.set(blob, JSON.parse(await inflate(blob)).groups);
  return steps.get(blob);
}

// Problems of an evaluation lie in parts, several in each; a part is opened when one of them is shown.
async function loadRollouts(all, wanted) {
  for (const part of new Set(wanted.filter((group) => !group.rollouts).map((group) => group.part))) {
    const members = all.filter((group) => group.part === part);
    JSON.parse(await inflate(part)).forEach((held, i) => Object.assign(members[i], held));
  }
}

function filtered(group, except = "") {
  const use = byId("use").value, wanted = byId("class").value;
  const sign = scalesOf(data.runs[place.run])[byId("sign").value][1], text = byId("text").value.toLowerCase();
  return group.rollouts.filter((rollout) =>
    (use === "" || (rollout.trained === true) === (use === "trained")) &&
    (except === "class" || wanted === "" || classOf(rollout) === wanted) && sign(rollout) &&
    (text === "" || String(rollout.completion ?? "").toLowerCase().includes(text) || String(rollout.answer ?? "").toLowerCase().includes(text)));
}

const hasFilter = () => ["use", "class", "sign", "text"].some((id) => byId(id).value !== "");

function options(select, entries, value) {
  select.replaceChildren(...entries.map(([key, text]) => element("option", { value: String(key) }, text)));
  select.value = String(value);
}

function fragmentOf({ run, step, rollout }, group) {
  const about = data.runs[run];
  return fragment({ run: about.name, step: about.kind === "run" ? about.steps[step].step : null,
    prompt: group.prompt_id, visit: group.visit, role: group.role, rollout });
}

// Half a surrogate pair, which a model may write, does not survive in an address.
const asInAddress = (text) => new URLSearchParams(String(new URLSearchParams({ text }))).get("text");

async function readFragment() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const run = data.runs.findIndex((candidate) => asInAddress(candidate.name) === wanted.get("run"));
  if (run < 0 || !data.runs[run].steps.length) return false;
  const found = data.runs[run].steps.findIndex((s) => String(s.step) === wanted.get("step"));
  const step = Math.max(0, found);
  const inStep = await loadStep(run, step);
  const agrees = (group, key, field) => !wanted.has(key) || asInAddress(group[field]) === wanted.get(key);
  const group = inStep.findIndex((g) => agrees(g, "prompt", "prompt_id") && agrees(g, "visit", "visit") && agrees(g, "role", "role"));
  const missing = (wanted.has("step") && found < 0) || group < 0;
  if (wanted.has("role") && byId("role").value !== wanted.get("role")) byId("role").value = "";
  place = { run, step, group: Math.max(0, group), rollout: missing ? null : wanted.get("rollout"), missing };
  return true;
}

async function show(record = true) {
  const run = data.runs[place.run];
  options(byId("run"), data.runs.flatMap((r, i) => r.steps.length ? [[i, r.name + (r.supervised ? " (supervised)" : "")]] : []), place.run);
  byId("step-part").hidden = run.kind !== "run";
  showFilters(run);
  options(byId("step"), run.steps.map((s, i) => [i, s.step]), place.step);
  const ticket = ++lastShow;
  const loaded = await loadStep(place.run, place.step);
  await loadRollouts(loaded, hasFilter() ? loaded : [loaded[Math.min(place.group, loaded.length - 1)]]);
  if (ticket !== lastShow) return; // the user has gone on meanwhile
  groups = loaded;
  place.group = Math.min(place.group, groups.length - 1);
  const roles = [...new Set(groups.map((g) => g.role).filter(Boolean))];
  byId("role-part").hidden = !roles.length;
  options(byId("role"), [["", "any"], ...roles.map((role) => [role, role])], roles.includes(byId("role").value) ? byId("role").value : "");
  const role = byId("role").value;
  const listed = groups.flatMap((g, i) => role === "" || g.role === role ? [i] : []);
  if (!listed.includes(place.group)) place.group = listed[0];
  const group = groups[place.group];
  await loadImages(group);
  if (ticket !== lastShow) return;
  const classes = answerClasses(group);
  const wanted = byId("class").value;
  options(byId("class"), [["", "any"], ...classes.map((c) => [c.key, `${c.key === NO_ANSWER ? "no answer" : oneLine(c.answer, 40)} (${c.votes})`])], classes.some((c) => c.key === wanted) ? wanted : "");
  options(byId("group"), listed.map((i) => [i, groupName(groups[i], i)]), place.group);
  const position = listed.indexOf(place.group);
  byId("previous-group").disabled = position <= 0;
  byId("next-group").disabled = position >= listed.length - 1;
  byId("previous-step").disabled = place.step <= 0;
  byId("next-step").disabled = place.step >= run.steps.length - 1;
  byId("shown").replaceChildren(...groupView(group, classes));
  byId("browser").hidden = false;
  if (record && location.hash !== fragmentOf(place, group)) history.pushState(null, "", fragmentOf(place, group));
}

function showFilters(run) {
  const scales = scalesOf(run), kept = byId("sign").value;
  byId("use-part").hidden = run.kind !== "run";
  if (run.kind !== "run") byId("use").value = "";
  byId("sign-name").textContent = run.kind === "run" ? "Reward" : "By the label";
  options(byId("sign"), Object.entries(scales).map(([key, [text]]) => [key, text]), Object.hasOwn(scales, kept) ? kept : "");
}

const nameOf = (group) => group.title || group.prompt || `problem ${group.prompt_id}`;

function groupName(group, i) {
  const role = group.role ? `[${group.role}] ` : "";
  const count = hasFilter() ? ` (${filtered(group).length} of ${group.rollouts.length})` : "";
  return `${i + 1}. ${role}${oneLine(nameOf(group), 70)}${count}`;
}

// The classes of all votes; of an evaluation some of the voting samples may not be in the page.
function answerClasses(group) {
  const found = new Map((group.classes ?? []).map((c) => {
    const key = classOf({ cluster: c.key });
    return [key, { key, answer: c.answer, votes: c.votes, correct: c.correct, rollouts: [] }];
  }));
  for (const rollout of group.rollouts) {
    const key = classOf(rollout);
    if (!found.has(key)) found.set(key, { key, answer: String(rollout.answer ?? ""), rollouts: [] });
    found.get(key).rollouts.push(rollout);
  }
  for (const c of found.values()) c.votes ??= c.rollouts.length;
  const size = (c) => c.key === NO_ANSWER ? -1 : c.votes;
  return [...found.values()].sort((a, b) => size(b) - size(a));
}

const mean = (values) => values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
const fact = (name, ...values) => element("span", {}, `${name} `, element("b", {}, ...values));

function groupView(group, classes) {
  const all = group.rollouts, trained = all.filter((r) => r.trained === true);
  const rewards = all.map((r) => r.reward).filter(isNumber);
  const label = [group.label, ...all.map((r) => r.label)].find((value) => value !== undefined && value !== null);
  const pseudoLabel = all.map((r) => r.pseudo_label).find((value) => value !== undefined && value !== null);
  const shown = filtered(group), votes = group.num_samples ?? all.length;
  const named = classes.filter((c) => c.key !== NO_ANSWER);
  const facts = element("p", { className: "facts" },
    group.role ? fact("role", group.role) : null, fact("completions", String(votes)), fact("answer classes", String(named.length)),
    fact("majority ratio", named.length ? number(named[0].votes / votes) : "none"),
    trained.length ? fact("trained", String(trained.length)) : null, rewards.length ? fact("mean reward", number(mean(rewards))) : null,
    pseudoLabel === undefined ? null : fact("pseudo-label", oneLine(String(pseudoLabel), 200) || "(empty)"),
    group.reasons?.length ? fact("shows", group.reasons.join(", ")) : null,
    label === undefined ? null : fact("label, shown only:", ...answerView(String(label))),
    element("span", {}, element("a", { href: fragmentOf({ ...place, rollout: null }, group) }, "link to this group")));
  const missing = place.missing ? [element("p", { className: "notice" }, "The step or prompt of the link is not among those in this report; here is another one.")] : [];
  return [...missing, element("h3", {}, "Prompt"), ...imagesView(group), textBlock("prompt", group.prompt || `problem ${group.prompt_id}`, "", { tabIndex: 0 }), facts,
    classTable(classes, votes), element("h3", { "aria-live": "polite" }, `${hasFilter() ? `${shown.length} of ` : ""}${all.length} completions` + (all.length < votes ? ` of ${votes} are in this page` : "")),
    element("div", { className: "rollouts" }, ...shown.map((rollout) => rolloutView(rollout, group, classes)))];
}

function classTable(classes, total) {
  const isRun = data.runs[place.run].kind === "run";
  const rows = classes.map((c) => {
    const pick = element("button", { type: "button", className: "answer", title: "Show only this class" }, ...(c.key === NO_ANSWER ? ["no answer"] : c.answer ? answerView(c.answer) : ["(empty)"]));
    pick.addEventListener("click", () => { byId("class").value = byId("class").value === c.key ? "" : c.key; show(); });
    const bar = element("span", { className: "bar" });
    bar.style.width = `${100 * c.votes / total}%`;
    const rewards = c.rollouts.map((r) => r.reward).filter(isNumber);
    return element("tr", {}, element("td", {}, pick), element("td", { className: "number" }, String(c.votes)), element("td", { className: "share" }, bar),
      ...(isRun ? [String(c.rollouts.filter((r) => r.trained === true).length), rewards.length ? number(mean(rewards)) : "–"] : [String(c.rollouts.length), c.correct ? "right" : "wrong"])
        .map((text) => element("td", { className: "number" }, text)));
  });
  const head = [["answer class", ""], ["votes", "number"], ["", "share"], ...(isRun ? [["trained", "number"], ["reward", "number"]] : [["shown", "number"], ["by the label", "number"]])];
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Answer classes" },
    element("table", { className: "classes" }, element("thead", {}, element("tr", {}, ...head.map(([text, className]) => element("th", { scope: "col", className }, text)))), element("tbody", {}, ...rows)));
}

function rolloutView(rollout, group, classes) {
  const index = rollout.rollout ?? group.rollouts.indexOf(rollout);
  const badge = (text, kind = "") => element("span", { className: `badge ${kind}` }, text);
  const isMajority = classes[0].key === classOf(rollout) && classes[0].key !== NO_ANSWER;
  const title = element("h4", {}, element("a", { href: fragmentOf({ ...place, rollout: index }, group), title: "Link to this completion" }, `#${index}`),
    isNumber(rollout.cluster) ? element("span", { className: "answer" }, ...answerView(String(rollout.answer ?? ""), byId("text").value)) : badge("no answer", "bad"),
    isMajority ? badge("majority") : null, rollout.selected === true ? badge("taken for right") : null,
    rollout.trained === true ? badge("trained", "trained") : rollout.trained === false ? badge("vote only") : null,
    rollout.truncated === true ? badge("truncated", "bad") : null,
    typeof rollout.correct === "boolean" ? badge(`${rollout.correct ? "right" : "wrong"} by the label`, rollout.correct ? "trained" : "bad") : null);
  const parts = Object.entries(rollout.rewards ?? {}).map(([name, value]) => fact(name, number(value)));
  const extra = Object.entries(rollout).filter(([key, value]) => !SHOWN_KEYS.has(key) && key !== "label" && value !== null && typeof value !== "object");
  const facts = element("p", { className: "facts" },
    "reward" in rollout ? fact("reward", number(rollout.reward)) : null,
    parts.length ? element("span", { className: "parts" }, "parts: ", ...parts) : null,
    isNumber(rollout.advantage) ? fact("advantage", number(rollout.advantage)) : null, isNumber(rollout.num_tokens) ? fact("tokens", String(rollout.num_tokens)) : null,
    ...extra.map(([key, value]) => fact(key, oneLine(String(value), 200))));
  const text = String(rollout.completion ?? "");
  const body = textBlock("completion", text, byId("text").value);
  const card = element("article", { className: "rollout", "aria-label": `Completion ${index}` }, title, facts, body);
  if (text.length > 1500 || text.split("\n").length > 20) {
    const more = element("button", { type: "button" }, "Show all");
    body.classList.add("short");
    more.addEventListener("click", () => { more.textContent = body.classList.toggle("short") ? "Show all" : "Show less"; });
    card.append(more);
  }
  if (String(place.rollout) === String(index)) card.classList.add("linked");
  return card;
}

function go(change) {
  place = { ...place, rollout: null, missing: false, ...change };
  show().catch(fail);
}

function clearFilters() {
  for (const id of ["use", "class", "sign", "role", "text"]) byId(id).value = "";
}

function listen() {
  const change = (id, act) => byId(id).addEventListener("change", act);
  change("run", () => go({ run: Number(byId("run").value), step: 0, group: 0 }));
  change("step", () => go({ step: Number(byId("step").value) }));
  change("group", () => go({ group: Number(byId("group").value) }));
  for (const [id, by] of [["previous-step", -1], ["next-step", 1]]) byId(id).addEventListener("click", () => go({ step: place.step + by }));
  for (const [id, by] of [["previous-group", -1], ["next-group", 1]]) {
    byId(id).addEventListener("click", () => {
      const select = byId("group");
      go({ group: Number(select.options[select.selectedIndex + by].value) });
    });
  }
  for (const id of ["use", "class", "sign", "role"]) change(id, () => go({}));
  byId("text").addEventListener("input", () => show(false).catch(fail));
  byId("clear").addEventListener("click", () => { clearFilters(); go({}); });
  for (const id of ["place", "filters"]) byId(id).addEventListener("submit", (event) => event.preventDefault());
  addEventListener("popstate", () => follow().catch(fail));
}

async function follow() {
  if (!(await readFragment())) return false;
  await show(false);
  // What a link names is shown, whatever the filters were.
  if (place.rollout !== null && !document.querySelector(".rollout.linked")) {
    clearFilters();
    await show(false);
  }
  (document.querySelector(".rollout.linked") ?? byId("rollouts")).scrollIntoView();
  return true;
}

async function startBrowser() {
  if (!byId("browser")) return;
  listen();
  place.run = data.runs.findIndex((run) => run.steps.length);
  if (!(await follow())) await show(false);
}
