"use strict";
const api = location.pathname.replace(/\/dashboard\/?$/, "");
const query = new URLSearchParams(location.search);
const LOOK = 4000, PARTS = { registration: "New dataset version", training: "New training run", promotion: "Model goes live", rollout: "Traffic" };
const STAGES = { config: "loop.yaml", task: "Task", dataset: "Dataset", training: "Training", rollout: "Rollout" };
const USUAL = ["mean_average_precision", "map50", "accuracy", "iou"];
let key = query.get("code") || sessionStorage.getItem("visionloop-key") || "";
let chosen = query.get("loop") || "", shown = "", lost = "", asked = 0, seen = null;
if (query.get("code")) {
  sessionStorage.setItem("visionloop-key", key);
  query.delete("code");  // a key does not stay in the address
  address();
}
function address() { history.replaceState(null, "", location.pathname + (query.size ? "?" + query : "")); }
const $ = id => document.getElementById(id);

// Everything shown goes through text nodes: names of files and classes are other people's.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter(c => c !== null && c !== undefined).map(c => c instanceof Node ? c : document.createTextNode(String(c))));
  return node;
}
const score = value => value === null || value === undefined ? "–" : Number(value).toFixed(3);
const number = value => Number(value).toLocaleString();
const counted = (n, what) => `${number(n)} ${what}${n === 1 ? "" : "s"}`;
const plain = name => name.replaceAll("_", " ");
const when = text => text ? new Date(text).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" }) : "–";
const card = (title, ...children) => el("section", {}, el("h3", {}, title), ...children);

// Sentences come with times in UTC; beside them the timeline has this browser's, so they get them too.
function local(text) {
  return String(text).replace(/(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d(?::\d\d)?) UTC/g, (whole, day, time) => {
    const at = new Date(`${day || new Date().toISOString().slice(0, 10)}T${time}Z`);
    if (!day && Math.abs(at - Date.now()) > 432e5) at.setUTCDate(at.getUTCDate() + (at < Date.now() ? 1 : -1));
    const options = time.length > 5 ? { timeStyle: "medium" } : { timeStyle: "short" };
    return isNaN(at) ? whole : at.toLocaleString(undefined, day ? { ...options, dateStyle: "short" } : options);
  });
}

// Only what has no place to break in is broken anywhere: else a narrow column would cut its words.
function cell(head, content) {
  const text = content instanceof Node ? content.textContent : String(content);
  return el("td", { "data-head": head, class: /\S{22}/.test(text) ? "long" : text.length <= 20 ? "short" : "" }, content);
}

function table(head, rows, empty, kind = "") {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  const body = rows.map(row => el("tr", {}, ...row.map((content, i) => cell(head[i], content))));
  return el("table", { class: kind }, el("thead", {}, el("tr", {}, ...head.map(h => el("th", { scope: "col" }, h)))), el("tbody", {}, ...body));
}

function headline(s, total) {
  const errors = s.problems.filter(p => p.severity === "error").length;
  const found = total ? el("p", { class: errors ? "error" : "warning" }, el("a", { href: "#problems" }, counted(total, "problem")),
    errors ? ` with what was uploaded: what has an error is left out.` : " with what was uploaded: worth a look.") : null;
  return el("section", { role: "status" }, el("h2", {}, el("span", { class: `badge ${s.standing.tone}` }, s.standing.word), s.loop),
    el("p", { class: "doing" }, local(s.doing)), el("p", { class: "live" }, s.standing.live), help(s), found);
}

function help(s) {
  const last = s.runs.at(-1);
  if (s.rollout && !s.rollout.outcome && s.rollout.step === "approve") return el("p", { class: "warning" }, `To answer, follow the link that the event rollout.approval_requested brought, or ask POST /api/loops/${s.loop}/rollout/promote (yes) or …/rollback (no).`);
  return last && last.status === "failed" ? el("p", { class: "error" }, local([last.reason, last.help].filter(Boolean).join(". "))) : null;
}

function since(diff) {
  const kinds = diff && diff.before !== null ? ["added", "changed", "removed", "relabelled", "renamed"].filter(k => diff[k]) : [];
  return kinds.length ? `; since v${diff.before} ${kinds.map(k => `${number(diff[k])} ${k}`).join(", ")}` : "";
}

function status(run) {
  const ended = ["completed", "failed", "canceled"].includes(run.status);
  return ended ? run.status : (run.phase || run.status).replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

function stages(s) {
  const rolling = s.rollout && !s.rollout.outcome, training = s.active_run !== null;
  const building = s.datasets.some(d => d.status === "registering");
  const dataset = s.datasets.filter(d => d.status === "registered").at(-1), run = s.runs.at(-1), c = s.champion;
  const at = rolling ? 3 : training || run?.status === "failed" ? 2 : building ? 1 : s.resting || s.standing.tone === "good" ? 3 : 0;
  const found = [
    ["Images and labels", `${number(s.catalogue.labelled)} / ${number(s.catalogue.images)}`, "labelled of all images"],
    ["Dataset", dataset ? `v${dataset.number}` : "–", dataset ? `${number(dataset.train_images)} to train, ${number(dataset.validation_images)} to validate${since(dataset.diff)}` : "no version yet"],
    ["Training", run ? `run ${run.number}` : "–", run ? status(run) : "no run yet"],
    ["Live", c ? `run ${c.run}` : "–", c ? `${plain(c.metric)} ${score(c.score)}, ${c.model.name}:${c.model.version} in slot ${c.slot}` : "no model is live yet"],
  ];
  return el("div", { class: "stages" }, ...found.map(([name, big, small], i) =>
    el("div", i === at ? { class: "stage now", "aria-current": "step" } : { class: "stage" }, el("small", {}, name), el("strong", {}, big), el("small", {}, small))));
}

function progress(p) {
  const short = Object.entries(p.classes || {}).map(([name, n]) => `${name} (${n} of ${p.per_class})`).join(", ");
  const share = p.of ? Math.min(100, 100 * p.have / p.of) : 0, fill = el("i"), said = `${number(p.have)} of ${counted(p.of, "image")} toward ${p.toward}`;
  fill.style.width = share + "%";
  return card("Progress", el("p", { class: "empty" }, said),
    el("div", { class: "bar", role: "progressbar", "aria-label": said, "aria-valuenow": Math.round(share), "aria-valuemin": 0, "aria-valuemax": 100 }, fill),
    short ? el("p", { class: "empty" }, `Too few images of: ${short}`) : null);
}

function classes(c) {
  const names = Object.keys(c.images_per_class).sort((a, b) => a.localeCompare(b, undefined, { numeric: true })), rows = names.map(name => [name, number(c.images_per_class[name]), number(c.annotations_per_class[name] ?? 0)]);
  return card("Classes", el("div", names.length > 12 ? { class: "tall", tabindex: 0, role: "region", "aria-label": "Classes" } : {},
    table(["Class", "Images", "Labels"], rows, "No labels yet.")));
}

function metrics(found) {
  const names = Object.keys(found).filter(name => !name.includes("loss"));
  const sorted = [...USUAL.filter(n => names.includes(n)), ...names.filter(n => !USUAL.includes(n))];
  const more = sorted.length > 3 ? ` and ${sorted.length - 3} more` : "", line = n => `${plain(n)} ${score(found[n])}`;
  return sorted.length ? el("span", { title: sorted.map(line).join(", ") }, sorted.slice(0, 3).map(line).join(", ") + more) : "–";
}

function runs(list) {
  const rows = list.slice().reverse().map(r => [r.number, `v${r.dataset_version}`, status(r), metrics(r.metrics),
    plain(r.rollout) || "–", r.cost == null ? "–" : `${r.cost.toFixed(2)} ${r.currency}`,
    local([r.reason, r.help].filter(Boolean).join(". ")) || "–"]);
  return card("Training runs", table(["Run", "Data", "Status", "Best trial", "Rollout", "Cost", "Why"], rows, "None yet.", "wide"));
}

function problems(list, total, loop) {
  const rows = list.map(p => [el("span", { class: p.severity }, p.code), `${p.file}${p.place ? ", " + p.place : ""}`, p.expected, p.found, p.help]);
  const rest = total > list.length ? el("p", { class: "empty" }, `The worst ${list.length} of them; GET /api/loops/${loop}/problems tells of all.`) : null;
  const found = card(`Problems (${number(total)})`, table(["What", "Where", "Expected", "Found", "How to mend it"], rows, "None. Everything uploaded was understood.", "wide"), rest);
  found.id = "problems";
  return found;
}

function timeline(events) {
  const items = events.map(e => el("li", {}, el("time", { datetime: e.time }, when(e.time)), el("code", {}, e.type.replace("visionloop.", "")), el("span", {}, local(e.data.reason ?? ""))));
  return card("Timeline", events.length ? el("ol", {}, ...items) : el("p", { class: "empty" }, "Nothing happened yet."));
}

function reasons(s) {
  const rows = Object.entries(s.reasons).map(([stage, why]) => [STAGES[stage] || stage, local(why)]);
  return card("Decided last", table(["Stage", "Why"], rows, "Nothing was decided yet."));
}

function next(parts) {
  const rows = parts.map(p => [PARTS[p.part] || p.part, p.acts ? "now" : "waits", local(p.acts ? p.says : p.missing.map(m => m.reason).join(" · "))]);
  return card("What comes next", table(["What", "Starts", "Why, or what is missing"], rows, "", "wide"));
}

// Made once a loop: a picture that somebody chose stays while the rest of the page is looked at anew.
function trial(loop, task) {
  const file = el("input", { type: "file", accept: "image/*", "aria-label": "A picture for the live model" }), answer = el("div", { role: "status" });
  file.onchange = async () => {
    answer.replaceChildren("Asking the live model …");
    try { answer.replaceChildren(...await prediction(loop, task, file.files[0])); } catch (error) { answer.replaceChildren(el("p", { class: "error" }, error.message)); }
  };
  return card("Try the live model", el("p", { class: "empty" }, "Choose a picture from this computer: what the model finds in it is drawn and listed."), file, answer);
}

async function prediction(loop, task, picture) {
  if (!picture) return [];
  const whole = task.startsWith("image_classification");  // its classes are told however uncertain, the best first
  const path = `/loops/${encodeURIComponent(loop)}/predict?${whole ? "top_k=5" : "threshold=0.3"}`, post = { method: "POST", body: picture };
  const found = await get(path, answer => answer.json(), post), drawn = await get(path + "&render=png", embedded, post);
  const rows = found.predictions.map(p => [p.label, score(p.score)]);
  const said = whole ? `The likeliest for ${picture.name}` : `${counted(rows.length, "prediction")} of at least 0.3 in ${picture.name}`;
  return [el("p", {}, said), el("img", { alt: said, src: drawn }), table(["Label", "Score"], rows, "The model is sure of nothing in it.")];
}

async function embedded(answer) {
  const letters = Array.from(new Uint8Array(await answer.arrayBuffer()), byte => String.fromCharCode(byte));
  return `data:image/png;base64,${btoa(letters.join(""))}`;
}

// A card is only replaced where what it shows has changed: else each look would take focus, selection and scrolling away.
function put(place, facts, make) {
  const known = JSON.stringify(facts);
  if (place.known === known) return false;
  place.known = known;
  const node = make();
  place.replaceChildren(...(node ? [node] : []));
  place.hidden = !node;
  return true;
}

function show(s, parts, drawn) {
  const total = Math.max(s.problems.length, s.catalogue.problem_count + s.catalogue.dataset_problems.length + s.config.problems.length);
  if (shown !== s.loop) $("view").replaceChildren(...Array.from({ length: 9 }, () => el("div", {})));
  shown = s.loop;
  const [head, loop, far, then, both, tried, ran, curve, rest] = $("view").children, listed = [s.problems, total];
  put(head, [s.standing, s.doing, s.runs.at(-1), listed], () => headline(s, total));
  put(loop, [s.catalogue, s.datasets, s.runs, s.champion, s.rollout, s.standing], () => card("The loop", stages(s)));
  put(far, s.progress, () => progress(s.progress));
  put(then, parts, () => next(parts));
  put(both, [s.reasons, s.catalogue], () => el("div", { class: "columns" }, reasons(s), classes(s.catalogue)));
  put(tried, s.champion?.task, () => s.champion ? trial(s.loop, s.champion.task) : null);
  put(ran, s.runs, () => runs(s.runs));
  put(curve, drawn, () => drawn && picture(...drawn));
  put(rest, [listed, s.timeline], () => el("div", { style: "display:grid;gap:1rem;grid-template-columns:minmax(0,1fr)" }, problems(...listed, s.loop), timeline(s.timeline)));
  $("view").hidden = false;
  document.title = `${s.standing.word}: ${s.loop} | Visionloop`;
}

function picture(svg, name) {
  return card(name, el("img", { alt: name, src: "data:image/svg+xml," + encodeURIComponent(svg) }));
}

function choose(loops) {
  const names = loops.map(l => l.loop), focused = document.activeElement?.dataset?.loop;
  if (chosen && !names.includes(chosen)) lost = `There is no loop named ${chosen}. `;
  if (!names.includes(chosen)) chosen = names[0] || "";
  put($("loops"), [loops.map(l => [l.loop, l.standing]), chosen], () => {
    const buttons = loops.map(l => el("button", { type: "button", "aria-pressed": l.loop === chosen, "data-loop": l.loop, title: l.standing.word },
      el("i", { class: l.standing.tone, role: "img", "aria-label": l.standing.word }), l.loop));
    for (const button of buttons) button.onclick = () => pick(button.dataset.loop);
    const all = document.createDocumentFragment();
    all.append(...buttons);
    return all;
  }) && $("loops").querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (focused && !document.activeElement?.dataset?.loop) [...$("loops").children].find(b => b.dataset.loop === focused)?.focus();
}

function pick(name) {
  [chosen, lost] = [name, ""];
  query.set("loop", name);
  address();
  refresh();
}

async function get(path, read = answer => answer.json(), options = {}) {
  const answer = await fetch(api + path, { ...options, headers: { "x-functions-key": key } }).catch(() => { throw new Error("unreachable"); });
  if (answer.status === 401) throw Object.assign(new Error(`The key does not open this. ${WHERE}`), { key: true });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `The app answered ${answer.status}.`);
  return read(answer);
}

const WHERE = "Enter a function key above: `python3 dev.py serve` prints it; in Azure it is under Function App, App keys.";
const NONE = "There is no loop yet. Upload images and labels to <name>/images/ in the data container, or with `python3 dev.py upload FOLDER NAME`: the loop appears here by itself.";

async function curves(loop, list) {
  if (!list.length) return null;
  const run = list.at(-1).number, svg = await get(`${loop}/runs/${run}/plot`, answer => answer.text()).catch(() => "");
  return svg.includes("<polyline") ? [svg, `Trials of run ${run}, by epoch`] : null;
}

function tell(text, wants = false) {
  if ($("message").textContent !== text) $("message").textContent = text;
  $("form").hidden = !wants;
}

function trouble(error) {
  const old = seen ? ` What is shown is of ${seen.toLocaleTimeString()}.` : "";
  tell(error.message === "unreachable" ? `Visionloop does not answer; it is asked again every ${LOOK / 1000} seconds.${old}` : error.message, error.key);
}

async function refresh() {
  if (!key) return tell(WHERE, true);
  const mine = ++asked;
  try {
    const loops = (await get("/status")).loops;
    if (mine !== asked) return;  // another loop was chosen meanwhile
    choose(loops);
    const loop = `/loops/${encodeURIComponent(chosen)}`;
    if (chosen) {
      const [state, parts] = await Promise.all([get(`${loop}/status`), get(`${loop}/explain`).then(e => e.parts)]);
      const drawn = await curves(loop, state.runs);
      if (mine !== asked) return;
      show(state, parts, drawn);
    } else $("view").hidden = true;
    seen = new Date();
    $("asof").textContent = `As of ${seen.toLocaleTimeString()}, in this browser's time (${Intl.DateTimeFormat().resolvedOptions().timeZone}); looked at again every ${LOOK / 1000} seconds. `;
    $("asof").append(el("a", { href: `${api}/docs` }, "All that can be asked by HTTP"));
    tell(chosen ? lost : lost + NONE);
  } catch (error) {
    if (mine === asked) trouble(error);
  }
}

async function watch() {
  if (!document.hidden) await refresh();
  setTimeout(watch, LOOK);
}

$("form").onsubmit = event => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem("visionloop-key", key);
  refresh();
};
document.addEventListener("visibilitychange", () => document.hidden || refresh());
watch();
