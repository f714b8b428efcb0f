"use strict";
// The form, the tabs and the way to the server. What comes back is shown by the views below. Text is set
// as text, never as markup.

const MODES = ["speculate", "generate", "explore", "sweep", "compare"];
const LEADS = {
  speculate: "The draft proposes tokens, the target checks them all in one pass, keeps those it agrees with and says the next one itself. What comes out is the target’s own text.",
  generate: "One model continues the prompt.",
  explore: "What one model holds likely behind each token of the text. Choose a token to see what may follow it.",
  sweep: "One prompt at several temperatures: how varied the texts are, and how probable the model finds them.",
  compare: "Two models continue one prompt with the same settings, and each says how probable it finds the other’s text, in bits per byte.",
};

const at = id => document.getElementById(id);

function el(tag, classes, ...children) {
  const own = document.createElement(tag);
  if (classes) own.className = classes;
  own.append(...children.filter(child => child !== null && child !== undefined));
  return own;
}

// Three significant digits, as the reports have them.
function figure(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -6) return value.toExponential(2);
  return size <= 2 ? value.toFixed(Math.max(0, 2 - size)) : Math.round(value).toLocaleString("en-US");
}

function interval(estimate) {
  return estimate.low === null ? "" : `[${figure(estimate.low)}, ${figure(estimate.high)}]`;
}

const percent = p => p >= .0995 ? `${(100 * p).toFixed(0)} %` : p >= .00095 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %";

// A token's text with its line breaks seen.
const visible = text => text.replaceAll("\n", "↵\n");

const inLine = text => text.replaceAll("\n", "↵");

const count = value => value.toLocaleString("en-US");

const millions = value => value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : count(value);

function number(id) {
  const value = at(id).value.trim();
  return value === "" ? undefined : Number(value);
}

let mode = "speculate";
let about = null;
let running = null;

function choose(next, focus) {
  mode = next;
  for (const own of MODES) {
    const tab = at(`tab-${own}`);
    tab.setAttribute("aria-selected", String(own === mode));
    tab.tabIndex = own === mode ? 0 : -1;
    at(`panel-${own}`).hidden = own !== mode;
  }
  for (const own of document.querySelectorAll("[data-modes]")) own.hidden = !own.dataset.modes.split(" ").includes(mode);
  at("lead").textContent = LEADS[mode];
  if (focus) at(`tab-${mode}`).focus();
  if (location.hash !== `#${mode}`) history.replaceState(null, "", `#${mode}`);
}

function say(text, bad) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", Boolean(bad));
}

function decoding() {
  const temperature = {speculate: "temperature-live", explore: "temperature-law"}[mode] || "temperature";
  return {
    temperature: mode === "sweep" ? undefined : number(temperature),
    max_new: number(mode === "explore" ? "append" : "tokens"),
    seed: number("seed"), top_k: number("top-k"), top_p: number("top-p"), repetition_penalty: number("penalty"),
    ignore_eos: at("ignore-eos").checked,
  };
}

function asked() {
  const common = {prompt: at("prompt").value, decoding: decoding()};
  const model = at("model").value;
  switch (mode) {
    case "speculate": return {
      ...common, method: at("method").value || undefined, verification: at("verification").value,
      gamma: number("gamma"), nodes: number("nodes"), plain: at("plain").checked,
    };
    case "generate": return {...common, model};
    case "explore": return {...common, model, top: number("top")};
    case "sweep": return {
      ...common, model, samples: number("samples"),
      temperatures: at("temperatures").value.split(/[,;\s]+/).filter(Boolean).map(Number),
    };
    default: return {
      ...common, models: [at("model-a").value, at("model-b").value], rounds: number("rounds"),
      reference: at("reference").value || undefined,
    };
  }
}

// Lines of JSON as they come.
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    rest += value;
    const whole = rest.split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

async function run() {
  if (running) return;
  const own = new AbortController(), begun = performance.now(), which = mode;
  running = own;
  at("run").disabled = true;
  at("stop").disabled = false;
  say("Working …");
  const panel = at(`panel-${which}`);
  const request = asked();
  try {
    const answer = await fetch(`api/${which}`, {
      method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(request), signal: own.signal,
    });
    if (!answer.ok) {
      const text = await answer.text();
      let message = text;
      try { message = JSON.parse(text).error; } catch { /* it is no JSON: it stands as it is */ }
      throw new Error(message || `the server says ${answer.status}`);
    }
    const view = VIEWS[which](panel, request);
    let ended = false;
    for await (const line of lines(answer.body)) {
      if (line.event === "error") throw new Error(line.message);
      view[line.event]?.(line);
      ended = line.event === "done";
    }
    if (!ended) throw new Error("the server ended in the middle");
    say(`Done in ${figure((performance.now() - begun) / 1000)} s.`);
  } catch (error) {
    say(own.signal.aborted ? "Stopped." : error.message, !own.signal.aborted);
  } finally {
    running = null;
    at("run").disabled = false;
    at("stop").disabled = true;
  }
}

function introduce() {
  const named = name => about.models.find(own => own.name === name);
  const told = own => `${own.name} (${millions(own.parameters)} parameters, ${count(own.vocabulary)} tokens)`;
  at("pair").textContent = `${told(named(about.draft))} drafts for ${told(named(about.target))}.`;
  const notes = about.models.filter(own => own.note);
  at("notes").hidden = notes.length === 0;
  at("notes").replaceChildren(...notes.map(own => el("li", "", `${own.name}: ${own.note}`)));
  for (const id of ["model", "model-a", "model-b"]) {
    at(id).replaceChildren(...about.models.map(own => new Option(own.name, own.name)));
  }
  at("model").value = about.target;
  at("model-b").value = about.target;
  const auto = new Option(`auto (${about.method})`, "");
  at("method").replaceChildren(auto, ...about.methods.map(own => new Option(own, own)));
  at("seed").value = about.seed;
  at("foot").textContent = `spec ${about.version}, on ${about.device} in ${about.dtype}; up to ${count(about.limits.tokens)} tokens a request. Nothing leaves this server.`;
}

at("tabs").addEventListener("click", event => {
  const tab = event.target.closest("[role=tab]");
  if (tab) choose(tab.id.slice(4));
});
at("tabs").addEventListener("keydown", event => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  const place = MODES.indexOf(mode);
  const next = {Home: 0, End: MODES.length - 1}[event.key] ?? (step && (place + step + MODES.length) % MODES.length);
  if (next === undefined) return;
  event.preventDefault();
  choose(MODES[next], true);
});
at("form").addEventListener("submit", event => { event.preventDefault(); run(); });
at("form").addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
});
at("stop").addEventListener("click", () => running?.abort());
addEventListener("hashchange", () => { const own = location.hash.slice(1); if (MODES.includes(own)) choose(own); });

choose(MODES.includes(location.hash.slice(1)) ? location.hash.slice(1) : mode);
fetch("api/about").then(answer => answer.json()).then(found => { about = found; introduce(); })
  .catch(() => say("The server does not answer; is it still running?", true));
