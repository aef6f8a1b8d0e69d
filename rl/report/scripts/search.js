// A search over all prompts, answers and completions of the page, and over what groups were chosen for.

const MAX_HITS = 100;
let searches = 0;

function startSearch() {
  if (!byId("search")) return Promise.resolve();
  if (data.reasons.length) options(byId("reason"), [["", "any"], ...data.reasons.map((reason) => [reason, reason])], "");
  byId("reason-part").hidden = !data.reasons.length;
  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => search().catch(fail), 250);
  });
  byId("reason").addEventListener("change", () => search().catch(fail));
  byId("search-form").addEventListener("submit", (event) => { event.preventDefault(); search().catch(fail); });
  return Promise.resolve();
}

async function search() {
  const wanted = byId("search").value.trim().toLowerCase(), reason = byId("reason").value;
  const ticket = ++searches;
  if (!wanted && !reason) return byId("hits").replaceChildren();
  byId("hits").replaceChildren(element("p", { className: "quiet" }, "Searching…"));
  const found = [];
  let count = 0;
  for (const [run, about] of data.runs.entries()) {
    for (const step of about.steps.keys()) {
      const inStep = await loadStep(run, step);
      if (wanted) await loadRollouts(inStep, inStep);
      if (ticket !== searches) return; // another search has begun
      for (const group of inStep) {
        if (reason && !group.reasons?.includes(reason)) continue;
        for (const hit of hitsIn(group, wanted)) {
          count += 1;
          if (found.length < MAX_HITS) found.push({ run, step, group, ...hit });
        }
      }
    }
  }
  const title = `${count === 1 ? "1 hit" : `${count} hits`}${count > found.length ? `, the first ${found.length} are listed` : ""}`;
  byId("hits").replaceChildren(element("p", { className: "quiet" }, title), element("ol", {}, ...found.map((hit) => hitView(hit, byId("search").value.trim()))));
}

// The places of a group where a text stands: in its prompt, in an answer or completion; without a text the group.
function hitsIn(group, wanted) {
  if (!wanted) return [{ rollout: null, text: "" }];
  const has = (text) => String(text ?? "").toLowerCase().includes(wanted);
  const hits = [];
  const prompt = [group.prompt, group.title, group.prompt_id].find(has);
  if (prompt !== undefined) hits.push({ rollout: null, text: prompt });
  group.rollouts.forEach((rollout, i) => {
    const text = [rollout.completion, rollout.answer].find(has);
    if (text !== undefined) hits.push({ rollout: rollout.rollout ?? i, text: String(text) });
  });
  return hits;
}

function hitView(hit, wanted) {
  const { run, step, group, rollout } = hit;
  const about = data.runs[run];
  const place = [data.runs.length > 1 ? about.name : "", about.kind === "run" ? `step ${about.steps[step].step}` : "", rollout !== null ? `completion #${rollout}` : wanted ? "prompt" : ""].filter(Boolean).join(", ");
  const at = Math.max(0, hit.text.toLowerCase().indexOf(wanted.toLowerCase()) - 40);
  const near = wanted ? oneLine(hit.text.slice(at, at + 80 + wanted.length), 80 + wanted.length) : (group.reasons ?? []).join(", ");
  return element("li", {}, element("a", { href: fragmentOf({ run, step, rollout }, group) }, `${oneLine(nameOf(group), 60)}`), ` (${place}) `,
    element("span", { className: "answer" }, ...marked(near, wanted)));
}
