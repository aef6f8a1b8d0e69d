"use strict";
// Everything a model or a run wrote reaches the page through text nodes only.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  function element(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "style") node.style.setProperty("--run", value);
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

  // Charts.

  const MAIN = [
    ["reward", "Reward", "mean of the trained rollouts"],
    ["vote/majority_ratio", "Majority ratio", "votes of the leading answer / all votes"],
    ["entropy", "Entropy of the policy", "nats per token"],
    ["completions/mean_length", "Completion length", "tokens, mean"],
    ["vote/num_clusters", "Distinct answers", "per group, mean"],
    ["clip_ratio/region_mean", "Clipped share", "of trained tokens"],
    ["vote/truncated_frac", "Truncated completions", "share"],
    ["frac_reward_zero_std", "Groups without a gradient", "share"],
  ];
  const LABELLED = "labels, shown only";
  const PREFIX_TITLES = {
    "": "Trainer", clip_ratio: "Clipping", vote: "Votes", reward: "Rewards", rewards: "Rewards, as the trainer sees them",
    signal: "Signals", cost: "Cost", selfplay: "Self-play", completions: "Completions",
  };
  const hidden = new Set();
  const drawn = [];
  let smoothing = data.smoothing;
  let axis = "step";

  // Plotly reads a few tags in the texts it is given.
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function average(values, width) {
    let sum = 0;
    return values.map((value, i) => {
      sum += value - (i >= width ? values[i - width] : 0);
      return sum / Math.min(i + 1, width);
    });
  }

  function layout(more = {}) {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const lines = { gridcolor: color("--line"), zerolinecolor: color("--line"), linecolor: color("--line") };
    return {
      margin: { l: 46, r: 8, t: 6, b: 34 }, showlegend: false, hovermode: "x unified",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false,
      font: { family: style.fontFamily, size: 11, color: color("--quiet") },
      hoverlabel: { bgcolor: color("--page"), bordercolor: color("--line"), font: { color: color("--text") } },
      xaxis: { ...lines, fixedrange: true, ...more.xaxis },
      yaxis: { ...lines, fixedrange: true, tickformat: "~g", exponentformat: "e", ...more.yaxis },
    };
  }

  function metricTraces(metric) {
    const traces = [];
    data.runs.forEach((run, i) => {
      const series = run.series[metric];
      const x = series ? series[axis] : [];
      if (!x.length || hidden.has(i)) return;
      const isProbe = metric.startsWith("eval/");
      const width = isProbe ? 1 : Math.min(smoothing, x.length);
      const shared = { type: "scatter", x, name: plain(run.name) };
      if (width > 1) {
        traces.push({ ...shared, y: series.value, mode: "lines", opacity: 0.25, hoverinfo: "skip", line: { color: run.color, width: 1 } });
      }
      const mode = isProbe || x.length < 3 ? "lines+markers" : "lines";
      traces.push({ ...shared, y: average(series.value, width), mode, line: { color: run.color, width: 1.8 }, hovertemplate: "%{y:.4~g}" });
    });
    return traces;
  }

  // A flat line would get an axis from one below to one above it, which no share can reach.
  function flatRange(metric) {
    const values = data.runs.flatMap((run, i) => hidden.has(i) ? [] : run.series[metric]?.value ?? []);
    const isFlat = values.every((value) => value === values[0]);
    return isFlat && values[0] >= 0 && values[0] <= 1 ? { range: [-0.05, 1.05] } : { autorange: true };
  }

  function addChart(parent, title, note, traces, more) {
    const plot = element("div", { className: "plot", role: "img", "aria-label": `Chart: ${title}` });
    parent.append(element("figure", {}, element("figcaption", {}, title, element("span", {}, note)), plot));
    const draw = () => Plotly.react(plot, traces(), layout(more()), { displayModeBar: false, responsive: true });
    drawn.push(draw);
    draw();
  }

  const metricChart = (parent, metric, title, note) =>
    addChart(parent, title, note, () => metricTraces(metric), () => ({
      yaxis: flatRange(metric),
      xaxis: { title: { text: axis === "step" ? "optimizer step" : "sampled tokens", standoff: 4 }, rangemode: "tozero", nticks: 6 },
    }));

  function addPassCurves() {
    const parent = byId("pass-curves");
    if (!parent) return;
    const curves = data.runs.flatMap((run, i) => run.curves.map((curve) => ({ ...curve, run, i })));
    const dashes = { before: "dot", after: "solid", evaluation: "solid" };
    for (const benchmark of new Set(curves.map((curve) => curve.benchmark))) {
      for (const [kind, what] of [["pass", "pass@k: any of k samples is right"], ["maj", "maj@k: the vote of k samples is right"]]) {
        const chosen = curves.filter((curve) => curve.benchmark === benchmark && curve[kind].length > 1);
        if (!chosen.length) continue;
        const ks = [...new Set(chosen.flatMap((curve) => curve[kind].map((point) => point.k)))].sort((a, b) => a - b);
        const traces = () => chosen.filter((curve) => !hidden.has(curve.i)).map((curve) => {
          const points = curve[kind];
          const known = points.every((point) => point.low !== null);
          return {
            type: "scatter", mode: "lines+markers", x: points.map((p) => p.k), y: points.map((p) => p.value),
            name: plain(`${curve.run.name}, ${curve.when}`), hovertemplate: "%{y:.3f}",
            line: { color: curve.run.color, width: 1.8, dash: dashes[curve.when] }, marker: { size: 5 },
            ...(known ? { error_y: { type: "data", symmetric: false, array: points.map((p) => p.high - p.value), arrayminus: points.map((p) => p.value - p.low), thickness: 1, width: 2 } } : {}),
          };
        });
        const note = `${benchmark}${chosen.some((curve) => curve.when === "before") ? "; dotted: before training" : ""}`;
        addChart(parent, what, note, traces, () => ({
          xaxis: { type: "log", title: { text: "k", standoff: 4 }, tickvals: ks, ticktext: ks.map(String) },
          yaxis: { tickformat: ".2f" },
        }));
      }
    }
  }

  function addCurves() {
    const parent = byId("charts");
    if (!parent) return;
    const metrics = new Set(data.runs.flatMap((run) => Object.keys(run.series)));
    const main = element("div", { className: "charts" });
    parent.append(main);
    // One or two points make no curve; evaluations before and after stand in the results.
    for (const metric of metrics) {
      if (data.runs.every((run) => (run.series[metric]?.value.length ?? 0) < 3)) metrics.delete(metric);
    }
    if (!metrics.size) parent.append(element("p", {}, "Too few steps were logged for a curve."));
    for (const [metric, title, note] of MAIN) {
      if (metrics.delete(metric)) metricChart(main, metric, title, `${note} (${metric})`);
    }
    const prefixed = (prefix) => [...metrics].filter((metric) => metric.startsWith(prefix));
    for (const metric of prefixed("eval/")) {
      metrics.delete(metric);
      metricChart(main, metric, `Evaluated: ${metric.slice(5)}`, `${metric}; measured during training`);
    }
    for (const metric of prefixed("audit/")) {
      metrics.delete(metric);
      metricChart(main, metric, `Audit: ${metric.slice(6)}`, `${metric}; ${LABELLED}`);
    }
    const groups = new Map();
    for (const metric of metrics) {
      const prefix = metric.includes("/") ? metric.split("/")[0] : "";
      groups.set(prefix, [...(groups.get(prefix) ?? []), metric]);
    }
    for (const [prefix, members] of [...groups].sort()) {
      const inside = element("div", { className: "charts" });
      const title = Object.hasOwn(PREFIX_TITLES, prefix) ? PREFIX_TITLES[prefix] : prefix;
      const details = element("details", {}, element("summary", {}, `${title} (${members.length})`), inside);
      details.addEventListener("toggle", () => {
        if (details.open && !inside.childElementCount) {
          for (const metric of members) metricChart(inside, metric, metric, "");
        }
      });
      parent.append(details);
    }
  }

  const redraw = () => drawn.forEach((draw) => draw());

  function addCurveControls() {
    if (!byId("curve-controls")) return;
    data.runs.forEach((run, i) => {
      if (!Object.keys(run.series).length && !run.curves.length) return;
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(i); else hidden.add(i);
        redraw();
      });
      byId("run-switches").append(element("label", {}, box, element("span", { className: "swatch", style: run.color }), run.name, supervisedMark(run)));
    });
    const slider = byId("smoothing");
    const show = () => { byId("smoothing-value").textContent = smoothing === 1 ? "1 logged step" : `${smoothing} logged steps`; };
    slider.value = smoothing;
    show();
    slider.addEventListener("input", () => { smoothing = Number(slider.value); show(); redraw(); });
    byId("axis").addEventListener("change", () => { axis = byId("axis").value; redraw(); });
    byId("curve-controls").addEventListener("submit", (event) => event.preventDefault());
  }

  async function startCharts() {
    if (!byId("library")) return;
    addCurveControls();
    document.head.append(element("script", { textContent: await inflate("library") }));
    addPassCurves();
    addCurves();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  // Rollouts.

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
  const oneLine = (text, length = 90) => { const line = text.replace(/\s+/g, " ").trim(); return line.length > length ? `${line.slice(0, length)}…` : line; };

  async function loadStep(run, step) {
    const blob = data.runs[run].steps[step].blob;
    if (!steps.has(blob)) steps.set(blob, JSON.parse(await inflate(blob)).groups);
    return steps.get(blob);
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
    const parts = { run: data.runs[run].name };
    if (data.runs[run].kind === "run") parts.step = data.runs[run].steps[step].step;
    parts.prompt = group.prompt_id;
    if (group.visit) parts.visit = group.visit;
    if (group.role) parts.role = group.role;
    if (rollout !== null && rollout !== undefined) parts.rollout = rollout;
    return `#${new URLSearchParams(parts)}`;
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
    const classes = answerClasses(group);
    const wanted = byId("class").value;
    options(byId("class"), [["", "any"], ...classes.map((c) => [c.key, `${c.key === NO_ANSWER ? "no answer" : oneLine(c.answer, 40)} (${c.rollouts.length})`])], classes.some((c) => c.key === wanted) ? wanted : "");
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

  function groupName(group, i) {
    const role = group.role ? `[${group.role}] ` : "";
    const count = hasFilter() ? ` (${filtered(group).length} of ${group.rollouts.length})` : "";
    return `${i + 1}. ${role}${oneLine(group.prompt || `problem ${group.prompt_id}`, 70)}${count}`;
  }

  function answerClasses(group) {
    const found = new Map();
    for (const rollout of group.rollouts) {
      const key = classOf(rollout);
      if (!found.has(key)) found.set(key, { key, answer: String(rollout.answer ?? ""), rollouts: [] });
      found.get(key).rollouts.push(rollout);
    }
    const size = (c) => c.key === NO_ANSWER ? -1 : c.rollouts.length;
    return [...found.values()].sort((a, b) => size(b) - size(a));
  }

  const mean = (values) => values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
  const fact = (name, value) => element("span", {}, `${name} `, element("b", {}, value));

  function groupView(group, classes) {
    const all = group.rollouts, trained = all.filter((r) => r.trained === true);
    const rewards = all.map((r) => r.reward).filter(isNumber);
    const label = all.map((r) => r.label).find((value) => value !== undefined && value !== null);
    const pseudoLabel = all.map((r) => r.pseudo_label).find((value) => value !== undefined && value !== null);
    const shown = filtered(group);
    const named = classes.filter((c) => c.key !== NO_ANSWER);
    const facts = element("p", { className: "facts" },
      group.role ? fact("role", group.role) : null, fact("completions", String(all.length)), fact("answer classes", String(named.length)),
      fact("majority ratio", named.length ? number(named[0].rollouts.length / all.length) : "none"),
      trained.length ? fact("trained", String(trained.length)) : null, rewards.length ? fact("mean reward", number(mean(rewards))) : null,
      pseudoLabel === undefined ? null : fact("pseudo-label", oneLine(String(pseudoLabel), 200) || "(empty)"),
      label === undefined ? null : fact("label, shown only:", String(label)),
      element("span", {}, element("a", { href: fragmentOf({ ...place, rollout: null }, group) }, "link to this group")));
    const missing = place.missing ? [element("p", { className: "notice" }, "The step or prompt of the link is not among those in this report; here is another one.")] : [];
    return [...missing, element("h3", {}, "Prompt"), element("pre", { className: "prompt", tabIndex: 0 }, group.prompt || `problem ${group.prompt_id}`), facts,
      classTable(classes, all.length), element("h3", { "aria-live": "polite" }, hasFilter() ? `${shown.length} of ${all.length} completions` : `${all.length} completions`),
      element("div", { className: "rollouts" }, ...shown.map((rollout) => rolloutView(rollout, group, classes)))];
  }

  function classTable(classes, total) {
    const isRun = data.runs[place.run].kind === "run";
    const rows = classes.map((c) => {
      const pick = element("button", { type: "button", className: "answer", title: "Show only this class" }, c.key === NO_ANSWER ? "no answer" : oneLine(c.answer, 200) || "(empty)");
      pick.addEventListener("click", () => { byId("class").value = byId("class").value === c.key ? "" : c.key; show(); });
      const bar = element("span", { className: "bar" });
      bar.style.width = `${100 * c.rollouts.length / total}%`;
      const rewards = c.rollouts.map((r) => r.reward).filter(isNumber);
      return element("tr", {}, element("td", {}, pick), element("td", { className: "number" }, String(c.rollouts.length)), element("td", { className: "share" }, bar),
        ...(isRun ? [String(c.rollouts.filter((r) => r.trained === true).length), rewards.length ? number(mean(rewards)) : "–"] : [c.rollouts[0].correct === true ? "right" : "wrong"])
          .map((text) => element("td", { className: "number" }, text)));
    });
    const head = [["answer class", ""], ["votes", "number"], ["", "share"], ...(isRun ? [["trained", "number"], ["reward", "number"]] : [["by the label", "number"]])];
    return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Answer classes" },
      element("table", { className: "classes" }, element("thead", {}, element("tr", {}, ...head.map(([text, className]) => element("th", { scope: "col", className }, text)))), element("tbody", {}, ...rows)));
  }

  function marked(text) {
    const wanted = byId("text").value.toLowerCase(), lower = text.toLowerCase();
    // A few letters change their length in lower case; then positions in the two texts differ.
    if (!wanted || lower.length !== text.length) return [text];
    const parts = [];
    let start = 0;
    for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, start)) {
      parts.push(text.slice(start, at), element("mark", {}, text.slice(at, at + wanted.length)));
      start = at + wanted.length;
    }
    return [...parts, text.slice(start)];
  }

  function rolloutView(rollout, group, classes) {
    const index = rollout.rollout ?? group.rollouts.indexOf(rollout);
    const badge = (text, kind = "") => element("span", { className: `badge ${kind}` }, text);
    const isMajority = classes[0].key === classOf(rollout) && classes[0].key !== NO_ANSWER;
    const title = element("h4", {}, element("a", { href: fragmentOf({ ...place, rollout: index }, group), title: "Link to this completion" }, `#${index}`),
      isNumber(rollout.cluster) ? element("span", { className: "answer" }, ...marked(oneLine(String(rollout.answer ?? ""), 200))) : badge("no answer", "bad"),
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
    const body = element("pre", { className: "completion" }, ...marked(text) );
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
    byId("clear").addEventListener("click", () => {
      for (const id of ["use", "class", "sign", "role", "text"]) byId(id).value = "";
      go({});
    });
    for (const id of ["place", "filters"]) byId(id).addEventListener("submit", (event) => event.preventDefault());
    addEventListener("popstate", () => follow().catch(fail));
  }

  async function follow() {
    if (!(await readFragment())) return false;
    await show(false);
    (document.querySelector(".rollout.linked") ?? byId("rollouts")).scrollIntoView();
    return true;
  }

  async function startBrowser() {
    if (!byId("browser")) return;
    listen();
    place.run = data.runs.findIndex((run) => run.steps.length);
    if (!(await follow())) await show(false);
  }

  async function start() {
    // The charts first: they move what a link to a rollout scrolls to.
    for (const part of [startCharts, startBrowser]) await part().catch(fail);
    document.documentElement.dataset.ready = "yes";
  }
  start();
})();
