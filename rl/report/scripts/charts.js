// Training curves, and pass@k and maj@k over k.

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
  JSON.parse(await inflate("series")).forEach((series, i) => { data.runs[i].series = series; });
  addCurveControls();
  document.head.append(element("script", { textContent: await inflate("library") }));
  addPassCurves();
  addCurves();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
